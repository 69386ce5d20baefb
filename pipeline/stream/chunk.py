"""A chunk: the records of one partition that one poll gave, and what became of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.events.model import Record
from pipeline.stream.offsets import TopicPartition


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition as Faust delivered them; `ack` tells Faust that nobody waits for them any more."""

    tp: TopicPartition
    records: list[Record]
    ack: Callable[[], object]

    @property
    def size(self) -> int:
        """Bytes of the records' values."""
        return sum(len(record.value or b"") for record in self.records)

    def span(self) -> "Span":
        """What is left of it once its records were decoded."""
        return Span(self.tp, self.records[0].offset, self.records[-1].offset, len(self.records), self.ack)


class Span(NamedTuple):
    """The offsets of a chunk, first and last included: what waits for a commit must not keep records in memory."""

    tp: TopicPartition
    first: int
    last: int
    records: int
    ack: Callable[[], object]


@dataclass(slots=True)
class ChunkCount:
    """What became of a chunk's records: records without an event (a client's log) count as neither."""

    new: int = 0
    duplicate: int = 0
    rejected: int = 0

    @property
    def events(self) -> int:
        """Events found in the records that could be decoded."""
        return self.new + self.duplicate
