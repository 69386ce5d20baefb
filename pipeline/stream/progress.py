"""How far a consumer is behind, per partition: in records, and in seconds since the broker got what waits longest.

Pure bookkeeping: it is told what was delivered and committed, and the end of the partition when somebody asks.
A record that the broker has and this process was not given yet counts from when it was first missed.
"""

from collections import deque
from typing import NamedTuple

from pipeline.events.model import Micros
from pipeline.stream.offsets import TopicPartition

SECOND = 1_000_000


class Lag(NamedTuple):
    """Of one partition."""

    records: int
    seconds: float


class _Place:
    """One partition's chunks that are not committed, as (last offset, time of append)."""

    __slots__ = ("chunks", "missed", "next")

    def __init__(self, next_: int) -> None:
        self.next = next_  # the next offset to commit
        self.chunks: deque[tuple[int, Micros]] = deque()
        self.missed = Micros(0)  # since when the broker has more than was delivered; 0: it has not


class Progress:
    """All partitions of one consumer. Times are microseconds of the wall clock, as the broker's are."""

    def __init__(self) -> None:
        self._places: dict[TopicPartition, _Place] = {}

    def delivered(self, tp: TopicPartition, first: int, last: int, appended: Micros) -> None:
        """A chunk from offset `first` to `last`, whose first record the broker got at `appended`."""
        place = self._places.get(tp)
        if place is None:
            place = self._places[tp] = _Place(first)
        place.chunks.append((last, appended))
        place.missed = Micros(0)

    def began(self, tp: TopicPartition, offset: int) -> None:
        """The group had committed `offset` when the partition came; of no interest once anything else is known."""
        self._places.setdefault(tp, _Place(offset))

    def committed(self, tp: TopicPartition, offset: int) -> None:
        """Everything below `offset` is done."""
        place = self._places.get(tp)
        if place is None:
            place = self._places[tp] = _Place(offset)
        place.next = offset
        while place.chunks and place.chunks[0][0] < offset:
            place.chunks.popleft()

    def revoked(self, tp: TopicPartition) -> None:
        """The partition is somebody else's."""
        self._places.pop(tp, None)

    def lag(self, tp: TopicPartition, end: int, now: Micros) -> Lag | None:
        """The lag where the partition ends at `end` (the next offset it will give); None: nothing is known yet."""
        place = self._places.get(tp)
        if place is None:
            return None
        last = place.chunks[-1][0] + 1 if place.chunks else place.next
        records = max(end, last) - place.next
        if place.chunks:
            return Lag(records, max(0, now - place.chunks[0][1]) / SECOND)
        if not records:
            place.missed = Micros(0)
            return Lag(0, 0.0)
        place.missed = place.missed or now
        return Lag(records, (now - place.missed) / SECOND)
