"""What waits for the next flush: filled by intake and settling, emptied as a whole by the flush."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.evaluate.requests import EvaluationRequest
from pipeline.events.model import Record
from pipeline.fold.state import TraceState
from pipeline.store.rows import RawEventRow
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Partition


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition as Faust delivered them; `ack` tells Faust that nobody waits for them any more."""

    tp: TopicPartition
    records: list[Record]
    ack: Callable[[], object]


@dataclass(slots=True)
class ChunkCount:
    """What became of a chunk's records: records without an event (a client's log) count as neither."""

    events: int = 0
    new: int = 0
    duplicate: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Batch:
    """Everything between two flushes."""

    archive: list[RawEventRow] = field(default_factory=list)
    dirty: dict[bytes, tuple[Partition, TraceState]] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    requests: list[EvaluationRequest] = field(default_factory=list)
    chunks: list[tuple[Chunk, ChunkCount]] = field(default_factory=list)
    events: int = 0
    bytes: int = 0  # of the records

    def __bool__(self) -> bool:
        return bool(self.chunks or self.dirty or self.dead)
