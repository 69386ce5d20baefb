"""An event of a Kafka record as its row in the archive: what came, where it lay, and what its headers told."""

from pipeline.events import headers
from pipeline.events.model import Event, Micros, Record
from pipeline.store.rows import RawEventRow

_WORDS = {word: word.decode() for word in (*headers.CONTENT_TYPES, b"ingestion", b"otlp", b"kafka", b"evaluator")}
"""What nearly all headers say."""


def archive_row(
    record: Record,
    value: bytes,
    position: int,
    event: Event,
    identity: bytes,
    trace: int,
    first_seen: Micros,
    expires_at: int,
) -> RawEventRow:
    """The row of the event at `position` in its record, whose `value` is given beside it.

    `identity` and `trace` are events.keys' event_identity and trace_hash; `first_seen` is the trace's, microseconds;
    `expires_at` is when the row may leave, seconds.
    """
    content_type, receiver, received_at = told(record)
    columns = (
        event.project_id,
        event.trace_id,
        trace,
        event.event_id,
        identity,
        event.kind._value_,  # `value` is a property, written in Python
        event.entity_id,
        content_type,
        value,
        receiver,
        received_at or record.timestamp,
        record.topic,
        record.partition,
        record.offset,
        position,
        record.timestamp,
        first_seen,
        expires_at,
    )
    return tuple.__new__(RawEventRow, columns)  # its constructor takes three times as long


def told(record: Record) -> tuple[str, str, int]:
    """Content type, receiver and time of reception (0: not told) by the headers; of two of a name the first counts."""
    content_type, receiver, received_at = "", "kafka", 0
    for name, content in reversed(record.headers):
        if content is None:  # Kafka allows headers without a value
            continue
        if name == headers.CONTENT_TYPE:
            content_type = _WORDS.get(content) or content.decode(errors="replace")
        elif name == headers.RECEIVER:
            receiver = _WORDS.get(content) or content.decode(errors="replace")
        elif name == headers.RECEIVED_AT:
            received_at = int(content) if content.isdigit() and len(content) < 17 else 0
    return content_type, receiver, received_at
