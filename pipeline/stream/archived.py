"""An archived event as the event that it was: its record is put together again and decoded by today's code."""

import structlog

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.media import take_out
from pipeline.events.model import Event, Micros, Record
from pipeline.events.reasons import DecodeError
from pipeline.store.lookups import RawEvent

log = structlog.get_logger(__name__)

NO_LIMIT = 2**62


def decoded(raw: RawEvent, key: bytes) -> Event | None:
    """The archived event; None, loudly, where this version of the code cannot read what an older one could."""
    try:
        events, _ = take_out(raw.value, decode_record(_record(raw, key), NO_LIMIT))  # media were stored before it was
        return events[raw.position]
    except (DecodeError, IndexError) as error:
        log.error("archived_event_unreadable", trace=raw.trace_id, event_id=raw.event_id, error=repr(error)[:500])
        return None


def _record(raw: RawEvent, key: bytes) -> Record:
    """The Kafka record that an archived event came in."""
    named = [(headers.CONTENT_TYPE, raw.content_type.encode()), (headers.PROJECT, raw.project_id.encode())]
    return Record(raw.topic, raw.partition, raw.offset, Micros(raw.timestamp), key, raw.value, tuple(named))
