"""Dead letters: records that cannot be processed, with their original bytes and why (I5)."""

import time
from dataclasses import dataclass, field

from pipeline import __version__
from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason

MAX_DETAIL = 1000
MOST_ATTEMPTS = 1_000_000


def wall_clock() -> Micros:
    """Now, microseconds since the epoch."""
    return Micros(time.time_ns() // 1000)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, where it failed and why; `at` is when."""

    record: Record
    reason: Reason
    detail: str
    stage: str
    at: Micros = field(default_factory=wall_clock)

    def headers(self) -> list[tuple[str, bytes | None]]:
        """The record's own headers and those of a dead letter (names in events/headers.py)."""
        record = self.record
        own = dict(record.headers)
        return [
            *(each for each in record.headers if not each[0].startswith(headers.DEAD_PREFIX)),
            (headers.DEAD_REASON, self.reason.value.encode()),
            (headers.DEAD_DETAIL, self.detail[:MAX_DETAIL].encode(errors="replace")),
            (headers.DEAD_STAGE, self.stage.encode()),
            (headers.DEAD_TOPIC, record.topic.encode()),
            (headers.DEAD_PARTITION, str(record.partition).encode()),
            (headers.DEAD_OFFSET, str(record.offset).encode()),
            (headers.DEAD_TIMESTAMP, str(record.timestamp).encode()),
            (headers.DEAD_ATTEMPTS, str(number(own.get(headers.ATTEMPT), 1, MOST_ATTEMPTS)).encode()),
            (headers.DEAD_FIRST, str(number(own.get(headers.FIRST_FAILED), self.at, self.at)).encode()),
            (headers.DEAD_LAST, str(self.at).encode()),
            (headers.DEAD_VERSION, __version__.encode()),
        ]


def number(text: bytes | None, otherwise: int, most: int) -> int:
    """A header's decimal number from 1 to `most`, else `otherwise`: headers of records are anybody's text."""
    if text is None or len(text) > 20 or not text.isdigit():
        return otherwise
    value = int(text)
    return value if 0 < value <= most else otherwise
