"""How much a worker has to do: what tells the valve of the overflow whether there is room (stream/overflow.py).

Rule: the backlog is what Kafka has of the worker's partitions and what is not folded yet. Room for more is what is
missing to SHORT records: so few that whoever comes next hardly waits for them. There is none while a flush is due
early, because more events wait for the store than one interval brings, or while a partition is not open yet.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pipeline.stream.batch import Batch
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Partition

SHORT = 2_000  # records


class Load(NamedTuple):
    """The partitions of the events topic that a worker has, and how many more records it may be given now."""

    partitions: frozenset[int]
    total: int  # partitions of the topic, 0 while that is not known
    room: int


class Folding(Protocol):
    """What the load asks of the pipeline."""

    partitions: dict[TopicPartition, Partition]
    batch: Batch


def load_of(pipeline: Folding, ends: Callable[[TopicPartition], tuple[int, int]], most: int) -> Load:
    """The load now. `ends` tells (next offset to read, end of the log) of a partition, `most` events may wait."""
    backlog = 0
    for tp, partition in list(pipeline.partitions.items()):
        if not partition.ready.is_set():
            return Load(frozenset(), 0, 0)
        position, end = ends(tp)
        backlog += max(0, end - (position if partition.taken is None else partition.taken))
    busy = pipeline.batch.events + len(pipeline.batch.moves) >= most
    numbers = frozenset(tp.partition for tp in pipeline.partitions)
    total = max((partition.count for partition in pipeline.partitions.values()), default=0)
    return Load(numbers, total, 0 if busy else max(0, SHORT - backlog))
