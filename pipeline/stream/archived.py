"""An archived event as the fold takes it in: decoded anew by the code that runs now, whatever decoded it at first.

An archived event is found in its record by its id, so a mapping that says more of a record, or the same in another
order, mixes nothing up. What a record said once and a mended mapping no longer says counts as an event (versions are
numbered by what is archived) and says nothing. An event that cannot be read at all is not counted: rows made from
it are fuller than any made without it and win.
Media that it holds are kept before it is folded: a version of the code may have archived it that knew of none, and no
row may refer to what is not there.
"""

from collections.abc import Callable, Sequence
from traceback import format_tb
from typing import NamedTuple

import structlog

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import record_key
from pipeline.events.media import Medium, take_out
from pipeline.events.model import Event, Micros, Record
from pipeline.events.reasons import DecodeError
from pipeline.fold.layers import Layer
from pipeline.fold.state import TraceState, weight
from pipeline.store.lookups import RawEvent

log = structlog.get_logger(__name__)

NO_LIMIT = 2**62
Keep = Callable[[str, Medium], None]
"""Returns when this medium of a project is durable; raises OSError where it cannot be now."""

ELSEWHERE = -1  # the offset of an event that came from another partition than the one that is asked about


class Reading(NamedTuple):
    """What the record of an archived event says now: the event itself, if it still does, and all of its events.

    `media` were taken out of them.
    """

    event: Event | None
    all: list[Event]
    media: Sequence[Medium]


def read(raw: RawEvent) -> Reading | None:
    """Decode the record; None, loudly, where this version of the code cannot."""
    try:
        events, media = take_out(raw.value, decode_record(record_of(raw), NO_LIMIT))
    except DecodeError as error:
        log.error(
            "archived_event_unreadable",
            project=raw.project_id, trace=raw.trace_id, event_id=raw.event_id, error=repr(error)[:500],
        )  # fmt: skip
        return None
    except Exception as error:  # a decoder's own mistake must not stop a reader for ever; it may quote the event
        log.error(
            "archived_event_unreadable",
            project=raw.project_id, trace=raw.trace_id, event_id=raw.event_id,
            error=type(error).__name__, where="".join(format_tb(error.__traceback__)),
        )  # fmt: skip
        return None
    if raw.position < len(events) and events[raw.position].event_id == raw.event_id:
        return Reading(events[raw.position], events, media)
    return Reading(next((event for event in events if event.event_id == raw.event_id), None), events, media)


def take(state: TraceState, raw: RawEvent, offset: int = ELSEWHERE, keep: Keep | None = None) -> Reading | None:
    """Fold an archived event in, once had at `offset`, its media first. None where it cannot be read.

    Without `keep` media are passed over: for who writes no rows. Raises what `keep` raises, and has folded nothing.
    """
    state.first_seen = min(state.first_seen, raw.first_seen)
    reading = read(raw)
    if reading is None:
        return None
    if keep is not None:
        for medium in reading.media:
            keep(state.project_id, medium)
    if reading.event is not None:
        state.restore(reading.event, raw.identity, offset, weight(raw.value))
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
