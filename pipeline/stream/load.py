"""How much a worker has to do: what tells the valve of the overflow how much it may let in (stream/overflow.py).

Whoever sends now waits for the flush that is under way and for the one that takes his events. So others stay fresh
while what comes from the overflow leaves flushes short. Two rules:
- The backlog, what Kafka has of the worker's partitions and what is not folded yet, is at most SHORT records where more
  are let in. None are while a partition is not open yet, or while more wait for the store than a flush should hold.
- Between two flushes comes an allowance. It is halved after a flush that took LONGER than the quickest of late, and
  raised by a half after one that did not. (So a store that is far away is not taken for one that is busy.) It never
  falls below LEAST.
A worker that always has too much to do would leave the overflow alone until Kafka's retention takes it. So whatever the
backlog and the flushes, two things are certain, for which other projects wait by no more than their share:
- One record in SHARE that the worker takes in may come from the overflow: as soon as LEAST are owed they come. So it
  drains at a twentieth of the worker's rate at least, 920 records a second where that is 18,400.
- Where nothing was let in for PATIENT flushes, LEAST come: this is for a worker whose records are so heavy that it
  takes in next to none.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pipeline.stream.batch import Batch
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Partition

SHORT = 2_000  # records
LONGER = 0.25  # seconds
LATELY = 64  # flushes
LEAST, FIRST, MOST = 200, 500, 10_000  # records between two flushes
PATIENT = 20  # flushes
SHARE = 20  # records taken in, of which one may come from the overflow
MOST_OWED = 1_000  # records: while the overflow is empty, or Kafka away, no more than these pile up


class Load(NamedTuple):
    """The partitions of the events topic that a worker has, and how many more records it may be given now."""

    partitions: frozenset[int]
    total: int  # partitions of the topic, 0 while that is not known
    room: int
    flushes: int = 0  # that wrote something, since the start
    seconds: float = 0.0  # that the last one took
    taken: int = 0  # records taken in to be folded, since the start


class Folding(Protocol):
    """What the load asks of the pipeline."""

    partitions: dict[TopicPartition, Partition]
    batch: Batch
    flushes: int
    flush_seconds: float
    records: int


def load_of(pipeline: Folding, ends: Callable[[TopicPartition], tuple[int, int]], most: int) -> Load:
    """The load now. `ends` tells (next offset to read, end of the log) of a partition, `most` events may wait."""
    backlog = 0
    for tp, partition in list(pipeline.partitions.items()):
        if not partition.ready.is_set():
            return Load(frozenset(), 0, 0, pipeline.flushes, pipeline.flush_seconds, pipeline.records)
        position, end = ends(tp)
        backlog += max(0, end - (position if partition.taken is None else partition.taken))
    busy = pipeline.batch.events + len(pipeline.batch.moves) >= most
    numbers = frozenset(tp.partition for tp in pipeline.partitions)
    total = max((partition.count for partition in pipeline.partitions.values()), default=0)
    room = 0 if busy else max(0, SHORT - backlog)
    return Load(numbers, total, room, pipeline.flushes, pipeline.flush_seconds, pipeline.records)


class Allowance:
    """What may still come before the next flush."""

    def __init__(self) -> None:
        self._flushes = 0
        self._waited = 0  # flushes since the last record was let in
        self._size = FIRST
        self._used = 0
        self._taken = 0
        self._owed = 0.0  # records of the share
        self._lately: deque[float] = deque(maxlen=LATELY)

    def left(self, load: Load) -> int:
        """Records, after the rules above."""
        if load.flushes != self._flushes:
            self._waited += load.flushes - self._flushes
            self._flushes, self._used = load.flushes, 0
            self._lately.append(load.seconds)
            is_slow = load.seconds > min(self._lately) + LONGER
            self._size = max(LEAST, self._size // 2) if is_slow else min(MOST, self._size * 3 // 2)
        self._owed = min(MOST_OWED, self._owed + (load.taken - self._taken) / SHARE)
        self._taken = load.taken
        room = LEAST if self._waited >= PATIENT else 0
        share = int(self._owed) if self._owed >= LEAST else 0
        return max(0, share, min(max(load.room, room), self._size - self._used))

    def use(self, records: int) -> None:
        """So many came."""
        self._used += records
        self._owed = max(0.0, self._owed - records)
        self._waited = 0
