"""Spans to canonical events: one observation event each, and what a span says about its trace.

Rule: attributes of the trace (user, session, tags, name, release) travel on the observation event of any span, from
where the fold takes them, the root's first. What only a trace event may hold (input, output, metadata of the trace)
makes one, whichever span has it. The root makes one in any case, with its own input and output, which are the trace's
where nobody says better: it is dated to the root's start, so that what any span says about the trace wins.
`at` is the span's end. An event's id is the span's id and a hash of its bytes: what is exported again is a duplicate.
"""

from datetime import UTC, datetime
from typing import Any, cast

from pipeline.events.mapping import Resolved, resolve
from pipeline.events.mapping.table import EVENTS
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.events.otlp.span import KINDS, Span, SpanEvent
from pipeline.events.tool_calls import tool_calls
from pipeline.events.values import to_metadata, to_text

_SAID = (
    "type", "name", "environment", "version", "input", "output", "completion_start_time", "level", "status_message",
    "model", "usage", "cost",
)  # fmt: skip
_CARRIED = ("trace_name", "user_id", "session_id", "release", "tags", "public")
_OF_THE_TRACE = {"trace_input": "input", "trace_output": "output", "trace_metadata": "metadata"}
_PENDING = "pending_span"


def span_events(project_id: str, span: Span) -> list[Event]:
    """The events of one span."""
    span = _started(span)
    resolved = resolve(span)
    is_root = not span.parent_span_id or bool(resolved.fields.get("root"))
    event_id = f"{span.span_id}-{span.content}"
    observation = _observation(span, resolved, is_root)
    events = [Event(project_id, span.trace_id, Kind.OBSERVATION, span.span_id, event_id, span.at, observation)]
    for name, at, fields in _trace(span, resolved, observation, is_root):
        trace_id = span.trace_id
        events.append(Event(project_id, trace_id, Kind.TRACE, trace_id, f"{event_id}-{name}", at, fields))
    return events


def _started(span: Span) -> Span:
    """A pending span of Logfire tells that its parent has started: it becomes that span, still without an end."""
    if span.attributes.get("logfire.span_type") != _PENDING or not span.parent_span_id or span.start is None:
        return span
    parent = span.attributes.get("logfire.pending_parent_id")
    known = parent if isinstance(parent, str) and parent.strip("0") else ""
    return span._replace(span_id=span.parent_span_id, parent_span_id=known, end=None)


def _observation(span: Span, resolved: Resolved, is_root: bool) -> Fields:
    fields = resolved.fields
    said: dict[str, Any] = {name: fields[name] for name in (*_SAID, *_CARRIED) if name in fields}
    if span.start is not None:
        said["start_time"] = span.start
    if span.end is not None and said.get("type") != "EVENT":  # an event is a moment
        said["end_time"] = span.end
    if not is_root:
        said["parent_observation_id"] = span.parent_span_id
    if "model_parameters" in fields:
        said["model_parameters"] = to_text(fields["model_parameters"])
    if said.get("type") == "GENERATION":
        said.update({name: fields[name] for name in ("prompt_name", "prompt_version") if name in fields})
        if calls := tool_calls(said.get("output", "")):
            said["tool_calls"] = calls
    if metadata := _metadata(span, resolved):
        said["metadata"] = metadata
    return cast(Fields, said)


def _trace(span: Span, resolved: Resolved, observation: Fields, is_root: bool) -> list[tuple[str, Micros, Fields]]:
    """(part of the event's id, event time, fields) of each trace event."""
    found: list[tuple[str, Micros, Fields]] = []
    said = {name: resolved.fields[given] for given, name in _OF_THE_TRACE.items() if given in resolved.fields}
    if "metadata" in said:
        said["metadata"] = to_metadata(said["metadata"])
    if said:
        found.append(("trace", span.at, cast(Fields, said)))
    if is_root:
        own = {name: value for name, value in observation.items() if name in ("input", "output") and name not in said}
        start = span.start if span.start is not None else span.at
        if own or not said:
            found.append(("root", min(start, span.at), cast(Fields, own)))
    return found


def _metadata(span: Span, resolved: Resolved) -> dict[str, Any]:
    """What the client called metadata, and beside it all that has no field of its own."""
    beside: dict[str, Any] = {
        "attributes": resolved.rest,
        "resourceAttributes": span.resource,
        "scope": _scope(span),
        "kind": KINDS.get(span.kind),
        "exceptions": [_exception(event) for event in span.events if event.name == "exception"],
        "events": [_moment(event) for event in span.events if event.name not in EVENTS],
        "links": [{"traceId": link.trace_id, "spanId": link.span_id, **link.attributes} for link in span.links],
    }
    own = resolved.fields.get("metadata", {})
    return to_metadata({**{name: value for name, value in beside.items() if value}, **own})


def _scope(span: Span) -> dict[str, Any]:
    named = {"name": span.scope.name, "version": span.scope.version, "attributes": span.scope.attributes}
    return {name: value for name, value in named.items() if value}


def _exception(event: SpanEvent) -> dict[str, Any]:
    return {name.removeprefix("exception."): value for name, value in event.attributes.items()}


def _moment(event: SpanEvent) -> dict[str, Any]:
    time = {} if event.time is None else {"time": _iso(event.time)}
    return {"name": event.name, **time, **event.attributes}


def _iso(time: Micros) -> str:
    seconds, micros = divmod(time, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06}Z"
