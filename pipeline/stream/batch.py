"""What waits for the next flush: filled by intake and settling, emptied as a whole by the flush."""

from collections.abc import Collection
from dataclasses import dataclass, field

from pipeline.evaluate.requests import EvaluationRequest
from pipeline.store.rows import RawEventRow
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.moves import Move
from pipeline.stream.part import Part
from pipeline.stream.partition import Partition


@dataclass(slots=True)
class Batch:
    """Everything between two flushes, but the traces' unwritten rows, which their partitions know."""

    archive: list[RawEventRow] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    requests: list[EvaluationRequest] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    parts: dict[Partition, Part] = field(default_factory=dict)
    events: int = 0
    bytes: int = 0  # of the records

    def part(self, partition: Partition) -> Part:
        """This batch's part of a partition."""
        part = self.parts.get(partition)
        if part is None:
            part = self.parts[partition] = Part()
            partition.parts.add(part)
        return part

    def add(self, partition: Partition, chunk: Span, count: ChunkCount) -> None:
        """All events of the chunk are folded."""
        self.part(partition).chunks.append((chunk, count))

    def leave_out(self, gone: Collection[Partition]) -> None:
        """What belongs to these partitions is not this worker's to write any more."""
        numbers = {partition.tp.partition for partition in gone}
        self.parts = {partition: part for partition, part in self.parts.items() if partition not in gone}
        self.archive = [row for row in self.archive if row.partition not in numbers]
        self.moves = [move for move in self.moves if move.record.partition not in numbers]
        self.dead = [letter for letter in self.dead if letter.record.partition not in numbers]

    def __bool__(self) -> bool:
        return bool(self.parts or self.archive or self.dead or self.requests or self.moves)
