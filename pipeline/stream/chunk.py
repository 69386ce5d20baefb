"""A chunk: the records of one partition that one poll gave, and what became of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeline.events.model import Micros, Record
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition as Faust delivered them; `ack` tells Faust that nobody waits for them any more."""

    tp: TopicPartition
    records: list[Record]
    ack: Callable[[], object]

    @property
    def size(self) -> int:
        """Bytes of the records' values."""
        return sum([len(record.value or b"") for record in self.records])

    def since(self, offset: int | None) -> "Chunk":
        """Without the records below an offset, which were delivered before; None: there are none."""
        if offset is None or self.records[0].offset >= offset:
            return self
        return replace(self, records=[record for record in self.records if record.offset >= offset])

    def span(self) -> "Span":
        """What is left of it once its records were decoded."""
        first, last = self.records[0], self.records[-1]
        return Span(self.tp, first.offset, last.offset, len(self.records), self.ack, first.timestamp)


class Span(NamedTuple):
    """The offsets of a chunk, first and last included: what waits for a commit must not keep records in memory."""

    tp: TopicPartition
    first: int
    last: int
    records: int  # 0: all of them belong to other chunks
    ack: Callable[[], object]
    appended: Micros = Micros(0)  # when the broker got the first record; 0: not known


@dataclass(slots=True)
class ChunkCount:
    """What became of a chunk's records: records without an event (a client's log) count as neither."""

    new: int = 0
    duplicate: int = 0
    rejected: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes, compare=False)  # the same by record, for the ledger

    @property
    def events(self) -> int:
        """Events found in the records that could be decoded."""
        return self.new + self.duplicate
