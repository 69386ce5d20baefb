"""Canonical events as JSON, one object per Kafka record: what a producer writes that wants no protocol in between.

Rule: `canonical_schema` says what an event may hold, this module what it means. Avro records come through here too, so
both encodings of one event give the same Event.
Failure: DecodeError, MALFORMED for bytes that are no JSON, INVALID with the path of the field that breaks a rule.
"""

from typing import Any, cast

import orjson
from pydantic import ValidationError

from pipeline.events import keys
from pipeline.events.canonical_schema import BODY
from pipeline.events.literals import check_literals
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.scores import subject_group, typed_value
from pipeline.events.tool_calls import tool_calls

_TRACE, _OBSERVATION, _SCORE = Kind.TRACE, Kind.OBSERVATION, Kind.SCORE  # an enum's members are slow to look up


def parse_canonical_json(raw: bytes) -> Event:
    """The event in `raw`, one JSON object. Raises DecodeError."""
    try:
        body = BODY.validate_json(raw)
    except ValidationError as error:
        raise _decode_error(error) from None
    event = _event(cast(dict[str, Any], body), raw)
    check_literals(raw)
    return event


def canonical_event(body: dict[str, Any], raw: bytes) -> Event:
    """The event in a record that another encoding has already taken apart; `raw` is what it was encoded in."""
    try:
        checked = BODY.validate_python(body)
    except ValidationError as error:
        raise _decode_error(error) from None
    return _event(cast(dict[str, Any], checked), raw)


def to_canonical_json(event: Event) -> bytes:
    """The JSON object that `parse_canonical_json` reads as `event`."""
    return orjson.dumps(to_body(event), default=str)  # Decimal as its text


def to_body(event: Event) -> dict[str, Any]:
    """The event as one flat dict, with times as integers, money as Decimal and only the keys that say something."""
    body: dict[str, Any] = {"kind": event.kind.value, "project_id": event.project_id}
    if keys.is_trace(event.trace_id) and not event.derived_trace:
        body["trace_id"] = event.trace_id
    if event.kind is not Kind.TRACE:
        body[f"{event.kind}_id"] = event.entity_id
    body["event_id"] = event.event_id
    body["at"] = event.at
    if not event.created:
        body["created"] = False
    body.update(event.fields)
    if "deleted" in event.fields:
        body.update(keys.group_subject(event.trace_id))
    return body


def _event(body: dict[str, Any], raw: bytes) -> Event:
    """Takes what identifies the event out of `body`; what is left and not null are its fields."""
    pop = body.pop
    kind = pop("kind")
    project_id: str = pop("project_id")
    at: Micros = pop("at")
    event_id = pop("event_id", None) or keys.derived_id(raw.hex())
    trace_id: str | None = pop("trace_id", None)
    created = pop("created", None) is not False
    deleted = pop("deleted", None) is True
    if trace_id is not None and not keys.is_trace(trace_id):
        raise DecodeError(Reason.INVALID, "trace_id: session: and run: begin the groups of scores without a trace")
    derived = False
    if kind == "observation":
        entity_id: str = pop("observation_id")
        if trace_id is None:
            derived, trace_id = True, keys.derived_id(project_id, entity_id)
        what = _OBSERVATION
    elif kind == "score":
        entity_id, trace_id, what = pop("score_id"), _complete_score(trace_id, body, deleted), _SCORE
    else:
        entity_id = trace_id = cast(str, trace_id)
        what = _TRACE
    if deleted:
        return _tombstone(Event(project_id, trace_id, what, entity_id, event_id, at, {"deleted": True}))
    fields = {key: value for key, value in body.items() if value is not None}
    if fields.get("type") == "GENERATION" and "tool_calls" not in fields and "output" in fields:  # as of every client
        found = tool_calls(fields["output"])
        fields |= {"tool_calls": found} if found else {}
    return Event(project_id, trace_id, what, entity_id, event_id, at, cast(Fields, fields), created, derived)


def _tombstone(event: Event) -> Event:
    """`event`, which says nothing but that its entity is gone. Raises DecodeError for an observation."""
    if event.kind is _OBSERVATION:
        raise DecodeError(Reason.INVALID, "deleted: only traces and scores can be deleted")
    return event


def _complete_score(trace_id: str | None, body: dict[str, Any], deleted: bool) -> str:
    """Fills in type, value and source of a score; returns the group it belongs to. Raises DecodeError."""
    get = body.get
    value = get("value")
    try:
        group = subject_group(trace_id, get("session_id"), get("dataset_run_id"), get("observation_id"))
        if deleted:
            return group
        if not get("name"):
            raise ValueError("name: a score has one")
        kind, number, text = typed_value(get("string_value") if value is None else value, get("data_type"))
    except ValueError as error:
        raise DecodeError(Reason.INVALID, str(error)) from None
    body.update(data_type=kind, value=number, string_value=text, source=get("source") or "API")
    return group


def _decode_error(error: ValidationError) -> DecodeError:
    """The first three problems, each with its path; values are left out, they may be secret or huge."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    reason = Reason.MALFORMED if problems[0]["type"] == "json_invalid" else Reason.INVALID
    # The path of a tagged union begins with the tag, which is no field.
    paths = [".".join(map(str, problem["loc"][1:])) or "event" for problem in problems]
    return DecodeError(reason, "; ".join(f"{path}: {p['msg']}" for path, p in zip(paths[:3], problems, strict=False)))
