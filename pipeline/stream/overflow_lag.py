"""How much waits in the overflow partitions that a worker looks after: in records, and in seconds.

Nobody has read what waits there, so its age is bounded instead of known: the oldest record was appended after the last
one that was moved, and after the partition was last seen empty. Where neither is known yet (a new owner that has moved
nothing) it counts from when it was first seen. Pure bookkeeping but for `look_up`, which asks the broker.
"""

from collections.abc import Collection
from typing import Any

from pipeline.events.model import Micros
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.progress import Lag

SECOND = 1_000_000


class OverflowLag:
    """Times are microseconds of the wall clock, as the broker's are."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._since: dict[TopicPartition, Micros] = {}  # what waits came later than that

    def keep(self, places: Collection[TopicPartition]) -> None:
        """Only these are this worker's now."""
        for known in (self._next, self._ends, self._since):
            for place in known.keys() - places:
                del known[place]

    def seen(self, place: TopicPartition, next_: int, end: int, now: Micros) -> None:
        """The next offset to move, and the end of the partition, as the broker tells both."""
        self._next[place], self._ends[place] = next_, end
        if next_ >= end:
            self._since[place] = now
        else:
            self._since.setdefault(place, now)

    def moved(self, place: TopicPartition, next_: int, appended: Micros) -> None:
        """All below `next_` is moved; the last of it was appended then."""
        self._next[place], self._since[place] = next_, appended

    def lags(self, now: Micros) -> dict[TopicPartition, Lag]:
        """By the last look."""
        lags: dict[TopicPartition, Lag] = {}
        for place, end in self._ends.items():
            records = max(0, end - self._next[place])
            lags[place] = Lag(records, max(0, now - self._since[place]) / SECOND if records else 0.0)
        return lags

    async def look_up(self, consumer: Any, now: Micros) -> None:
        """Ask the broker for all partitions that are assigned to the consumer. Raises KafkaError."""
        places = list(consumer.assignment())
        self.keep({TopicPartition(place.topic, place.partition) for place in places})
        if not places:
            return
        ends, starts = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
        for place in places:
            committed = await consumer.committed(place)
            begin = starts[place] if committed is None else max(committed, starts[place])
            self.seen(TopicPartition(place.topic, place.partition), begin, ends[place], now)
