"""A lane: chunks of one partition that wait for something outside the worker, while others pass them.

They are worked off in the order in which they came. What waits is bounded by the bytes that it holds: above `max_bytes`
the lane has no room, and whoever fills it waits.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from pipeline.stream.chunk import Span
from pipeline.stream.intake import Decoded, Taken


class Lane(ABC):
    """`run` it; a kind of lane says in `_work_off` what is done with what waits."""

    def __init__(self, unneeded: Callable[[], bool], max_bytes: int) -> None:
        """`unneeded`: true once the partition is somebody else's."""
        self._unneeded, self._max_bytes = unneeded, max_bytes
        self._waiting: list[Taken] = []
        self.bytes = self.records = 0  # that wait, media included
        self._work = asyncio.Event()
        self.has_room = asyncio.Event()
        """Set while there is room for more."""
        self.has_room.set()

    def put(self, taken: Taken) -> None:
        """A chunk's records that have to wait (`decoded`)."""
        self._waiting.append(taken)
        self.bytes += _size(taken)
        self.records += len(taken.decoded)
        if self.bytes > self._max_bytes:
            self.has_room.clear()
        self._work.set()

    def close(self) -> list[Span]:
        """The partition is gone: whoever waits for room may go on. The chunks that were not folded."""
        self.has_room.set()
        self._work.set()
        return [taken.chunk for taken in self._waiting]

    async def run(self) -> None:
        """Work off what waits, for ever. Raises persist.Cancelled once the partition is revoked."""
        while not self._unneeded():
            await self._work.wait()
            self._work.clear()
            while self._has_work() and not self._unneeded():
                await self._work_off()

    def _has_work(self) -> bool:
        return bool(self._waiting)

    @abstractmethod
    async def _work_off(self) -> None:
        """Work off some of what waits: of chunks the first, which is then `_done`."""

    def _instead(self, first: Taken, rest: Taken) -> None:
        """Of the first chunk only this still waits."""
        self._waiting[0] = rest
        self.bytes += _size(rest) - _size(first)
        self.records += len(rest.decoded) - len(first.decoded)

    def _done(self, first: Taken) -> None:
        """The first chunk waits no longer."""
        del self._waiting[0]
        self.bytes -= _size(first)
        self.records -= len(first.decoded)
        if self.bytes <= self._max_bytes:
            self.has_room.set()


def weight(decoded: Iterable[Decoded]) -> int:
    """Bytes of the records' values."""
    return sum(len(record.value or b"") for record, _ in decoded)


def _size(taken: Taken) -> int:
    """Bytes that it holds in memory."""
    return weight(taken.decoded) + sum(len(medium.content) for _, medium in taken.media)
