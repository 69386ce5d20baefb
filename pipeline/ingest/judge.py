"""Judge one event in Langfuse's form: the record that goes to Kafka, or the reason why not.

Rule: the order of checks is size, form, access. Every route that takes such events asks here, so they all refuse alike.
"""

from typing import NamedTuple

from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.langfuse_quick import quick_events
from pipeline.events.reasons import DecodeError
from pipeline.ingest import answers
from pipeline.ingest.auth import Principal
from pipeline.ingest.lanes import Headers, Outgoing
from pipeline.ingest.records import record
from pipeline.ingest.tolerant import readable_id

_SCORES_ONLY = frozenset({"score-create", "sdk-log"})


class Understood(NamedTuple):
    """What a good event says of itself; without a trace it is what clients send but nobody stores."""

    event_id: str
    entity_id: str
    trace_id: str | None


class Accepted(NamedTuple):
    """A good event; `record` is None where nobody stores it."""

    event_id: str
    entity_id: str
    record: Outgoing | None


def understand(principal: Principal, raw: bytes, limit: int) -> Understood | answers.EventError:
    """Read an event; `limit` is in bytes. Depends on nothing but its arguments, so any process may do it."""
    if len(raw) > limit:
        return answers.oversized_event(readable_id(raw), f"The event has {len(raw)} bytes, more than {limit}.")
    quick = None if principal.access == "scores" else quick_events(principal.project.id, raw)
    if quick is not None:
        return Understood(quick[0].event_id, quick[0].entity_id, quick[0].trace_id)
    try:
        envelope = parse_langfuse(raw)
    except DecodeError as error:
        return answers.invalid_event(readable_id(raw), error.detail)
    event_id = envelope["id"]
    if principal.access == "scores" and envelope["type"] not in _SCORES_ONLY:
        return answers.forbidden_event(event_id)
    events = langfuse_events(principal.project.id, envelope)
    if not events:
        return Understood(event_id, event_id, None)
    return Understood(event_id, events[0].entity_id, events[0].trace_id)


def accepted(principal: Principal, raw: bytes, understood: Understood, common: Headers) -> Accepted:
    """The event with its record; `common` are the headers of that."""
    event_id, entity_id, trace_id = understood
    outgoing = None if trace_id is None else record(principal.project.id, trace_id, raw, common)
    return Accepted(event_id, entity_id, outgoing)


def judge(principal: Principal, raw: bytes, limit: int, common: Headers) -> Accepted | answers.EventError:
    """Both at once."""
    understood = understand(principal, raw, limit)
    return understood if isinstance(understood, answers.EventError) else accepted(principal, raw, understood, common)
