"""An event of a Kafka record as its row in the archive: what came, where it lay, and what its headers told."""

from pipeline.events import headers
from pipeline.events.model import Event, Micros, Record
from pipeline.store.rows import RawEventRow


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
    return RawEventRow(
        event.project_id,
        event.trace_id,
        trace,
        event.event_id,
        identity,
        event.kind.value,
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


def told(record: Record) -> tuple[str, str, int]:
    """Content type, receiver and time of reception (0: not told) by the headers; of two of a name the first counts."""
    content_type, receiver, received_at = "", "kafka", 0
    for name, content in reversed(record.headers):
        if content is None:  # Kafka allows headers without a value
            continue
        if name == headers.CONTENT_TYPE:
            content_type = content.decode(errors="replace")
        elif name == headers.RECEIVER:
            receiver = content.decode(errors="replace")
        elif name == headers.RECEIVED_AT:
            received_at = int(content) if content.isdigit() and len(content) < 17 else 0
    return content_type, receiver, received_at
