"""Dead letters: records that cannot be processed, with their original bytes and why (I5)."""

from dataclasses import dataclass

from pipeline import __version__
from pipeline.events import headers
from pipeline.events.model import Record
from pipeline.events.reasons import Reason

MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, where it failed and why."""

    record: Record
    reason: Reason
    detail: str
    stage: str

    def headers(self) -> list[tuple[str, bytes]]:
        """The record's own headers and those of a dead letter (names in events/headers.py)."""
        record = self.record
        return [
            *record.headers,
            (headers.DEAD_REASON, self.reason.value.encode()),
            (headers.DEAD_DETAIL, self.detail[:MAX_DETAIL].encode(errors="replace")),
            (headers.DEAD_STAGE, self.stage.encode()),
            (headers.DEAD_TOPIC, record.topic.encode()),
            (headers.DEAD_PARTITION, str(record.partition).encode()),
            (headers.DEAD_OFFSET, str(record.offset).encode()),
            (headers.DEAD_TIMESTAMP, str(record.timestamp).encode()),
            (headers.DEAD_VERSION, __version__.encode()),
        ]
