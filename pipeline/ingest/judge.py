"""Judge one event in Langfuse's form: the record that goes to Kafka, or the reason why not.

Rule: the order of checks is size, form, access. Every route that takes such events asks here, so they all refuse alike.
"""

from typing import NamedTuple

from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.reasons import DecodeError
from pipeline.ingest import answers
from pipeline.ingest.accept import record
from pipeline.ingest.auth import Principal
from pipeline.ingest.lanes import Headers, Outgoing
from pipeline.ingest.tolerant import readable_id

_SCORES_ONLY = frozenset({"score-create", "sdk-log"})


class Accepted(NamedTuple):
    """A good event; `record` is None for what clients send but nobody stores."""

    event_id: str
    entity_id: str
    record: Outgoing | None


def judge(principal: Principal, raw: bytes, limit: int, common: Headers) -> Accepted | answers.EventError:
    """Judge an event; `limit` is in bytes, `common` are the headers of its record."""
    if len(raw) > limit:
        return answers.oversized_event(readable_id(raw), f"The event has {len(raw)} bytes, more than {limit}.")
    try:
        envelope = parse_langfuse(raw)
    except DecodeError as error:
        return answers.invalid_event(readable_id(raw), error.detail)
    event_id = envelope["id"]
    if principal.access == "scores" and envelope["type"] not in _SCORES_ONLY:
        return answers.forbidden_event(event_id)
    events = langfuse_events(principal.project.id, envelope)
    if not events:
        return Accepted(event_id, event_id, None)
    return Accepted(event_id, events[0].entity_id, record(principal.project.id, events[0].trace_id, raw, common))
