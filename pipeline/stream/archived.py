"""An archived event as the fold takes it in: decoded anew by the code that runs now, whatever decoded it at first.

An archived event is found in its record by its id, so a mapping that says more of a record, or the same in another
order, mixes nothing up. What a record said once and a mended mapping no longer says counts as an event (versions are
numbered by what is archived) and says nothing. An event that cannot be read at all is not counted: rows made from
it are fuller than any made without it and win.
"""

from traceback import format_tb
from typing import NamedTuple

import structlog

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import record_key
from pipeline.events.media import take_out
from pipeline.events.model import Event, Micros, Record
from pipeline.events.reasons import DecodeError
from pipeline.fold.layers import Layer
from pipeline.fold.state import TraceState
from pipeline.store.lookups import RawEvent

log = structlog.get_logger(__name__)

NO_LIMIT = 2**62
ELSEWHERE = -1  # the offset of an event that came from another partition than the one that is asked about


class Reading(NamedTuple):
    """What the record of an archived event says now: the event itself, if it still does, and all of its events."""

    event: Event | None
    all: list[Event]


def read(raw: RawEvent) -> Reading | None:
    """Decode the record; None, loudly, where this version of the code cannot."""
    try:
        events, _ = take_out(raw.value, decode_record(record_of(raw), NO_LIMIT))  # media were stored before it was
    except DecodeError as error:
        log.error("archived_event_unreadable", trace=raw.trace_id, event_id=raw.event_id, error=repr(error)[:500])
        return None
    except Exception as error:  # a decoder's own mistake, which may quote the event, must not end worker after worker
        where = "".join(format_tb(error.__traceback__))
        kind = type(error).__name__
        log.error("archived_event_unreadable", trace=raw.trace_id, event_id=raw.event_id, error=kind, where=where)
        return None
    if raw.position < len(events) and events[raw.position].event_id == raw.event_id:
        return Reading(events[raw.position], events)
    return Reading(next((event for event in events if event.event_id == raw.event_id), None), events)


def take(state: TraceState, raw: RawEvent, offset: int = ELSEWHERE) -> Reading | None:
    """Fold an archived event in, once had at `offset`. None where it cannot be read."""
    state.first_seen = min(state.first_seen, raw.first_seen)
    reading = read(raw)
    if reading is None:
        return None
    if reading.event is not None:
        state.restore(reading.event, raw.identity, offset, len(raw.value))
    else:
        state.seen.setdefault(raw.event_id, raw.identity)
    return reading


def content_of(state: TraceState, raw: RawEvent) -> Layer | None:
    """What an event says of its observation, if it was folded into the state and no tombstone hides it."""
    reading = read(raw)
    event = reading and reading.event
    if not event or event.at <= state.deleted_at or not state.has(raw.event_id, raw.identity):
        return None
    return ((event.at, event.event_id, raw.identity), event.fields)


def record_of(raw: RawEvent) -> Record:
    """The Kafka record that an archived event came in."""
    named = ((headers.CONTENT_TYPE, raw.content_type.encode()), (headers.PROJECT, raw.project_id.encode()))
    key = record_key(raw.project_id, raw.trace_id)
    return Record(raw.topic, raw.partition, raw.offset, Micros(raw.timestamp), key, raw.value, named)
