"""When a trace settles: its end has come and it was quiet for a while, or it was quiet for long without an end.

Two queues in the order of last activity, so that each look costs what is due and not what is open. Times are
microseconds of a clock that the caller reads; tests pass their own. It is the worker's clock, not that of the events:
what clients put into events may be hours off, and silence is a matter of arrival.
"""

from collections.abc import Hashable, Iterator
from itertools import chain, islice
from typing import Generic, TypeVar

from pipeline.events.model import Micros

K = TypeVar("K", bound=Hashable)


class SettleQueue(Generic[K]):
    """Traces that are not settled, by when they were last heard of."""

    def __init__(self, quiet: Micros, idle: Micros) -> None:
        self._quiet, self._idle = quiet, idle
        self._active: dict[K, Micros] = {}  # heard of lately
        self._waiting: dict[K, Micros] = {}  # quiet, but without an end

    def heard(self, key: K, now: Micros) -> None:
        """An event of the trace came: it is open (again) and its wait starts anew."""
        self._active.pop(key, None)
        self._waiting.pop(key, None)
        self._active[key] = now

    def recovered(self, key: K, now: Micros) -> None:
        """The trace was open when another worker had it: unless it is heard of, it settles when it was idle."""
        if key not in self:
            self._waiting[key] = now

    def forget(self, key: K) -> None:
        """The trace is settled or no longer ours."""
        self._active.pop(key, None)
        self._waiting.pop(key, None)

    def __len__(self) -> int:
        return len(self._active) + len(self._waiting)

    def __contains__(self, key: K) -> bool:
        return key in self._active or key in self._waiting

    def quiet(self, now: Micros) -> Iterator[K]:
        """Traces that became quiet: settle those that have ended, `wait` for the others."""
        for key, heard in list(_due(self._active, now - self._quiet)):
            del self._active[key]
            self._waiting[key] = heard
            yield key

    def idle(self, now: Micros) -> Iterator[K]:
        """Traces that were quiet for so long that they settle without an end."""
        for key, _ in list(_due(self._waiting, now - self._idle)):
            del self._waiting[key]
            yield key

    def oldest(self, count: int) -> Iterator[K]:
        """The `count` traces that were silent longest; they leave the queue."""
        for key in list(islice(chain(self._waiting, self._active), max(count, 0))):
            self.forget(key)
            yield key


def _due(queue: dict[K, Micros], until: int) -> Iterator[tuple[K, Micros]]:
    for key, heard in queue.items():
        if heard > until:
            return
        yield key, heard
