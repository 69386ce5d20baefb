"""Fuzz of OTLP's decoders: whatever the bytes, there are events or one DecodeError; what is good survives the cut."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.events import headers
from pipeline.events.mapping.table import RULES
from pipeline.events.model import Event, Kind
from pipeline.events.otlp import json_text, protobuf
from pipeline.events.otlp.events import span_events
from pipeline.events.otlp.records import otlp_events
from pipeline.events.otlp.span import SpanEvent
from pipeline.events.reasons import DecodeError
from tests.fixtures.otlp import BEGIN, TRACE_ID, recorded_exports, span_of

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_FIELDS_OF_TEXT = ("input", "output", "model", "name", "model_parameters", "user_id", "session_id", "status_message")
_SMALL = sorted((s for s in recorded_exports() if len(s.export) < 3_000), key=lambda sent: str(sent.path))
NAMES = sorted(
    {
        rule.source.removesuffix("*").rstrip(".")
        for _, rule in RULES
        if ":" not in rule.source or "genkit" in rule.source
    }
)


def decoded(content_type: bytes, body: bytes) -> list[Event]:
    """The events, which must be writable, or none."""
    try:
        events = otlp_events("p", content_type, body)
    except DecodeError as error:
        assert error.detail
        return []
    for event in events:
        assert_canonical(event)
    return events


def assert_canonical(event: Event) -> None:
    assert event.trace_id and event.entity_id and event.event_id and event.at >= 0
    fields: Any = event.fields
    for name in _FIELDS_OF_TEXT:
        assert isinstance(fields.get(name, ""), str), name
    orjson.dumps(fields.get("metadata", {}))
    assert all(isinstance(count, int) and count >= 0 for count in fields.get("usage", {}).values())
    assert all(amount >= 0 for amount in fields.get("cost", {}).values())
    assert all(isinstance(tag, str) for tag in (*fields.get("tags", ()), *fields.get("tool_calls", ())))


@given(st.binary(max_size=300))
@FUZZ
def test_any_bytes_are_events_or_one_reason(body: bytes) -> None:
    decoded(headers.OTLP_PROTOBUF, body)
    decoded(headers.OTLP_JSON, body)


@given(st.data())
@FUZZ
def test_recorded_exports_with_flipped_bytes_are_events_or_one_reason(data: st.DataObject) -> None:
    sent = data.draw(st.sampled_from(_SMALL))
    body = bytearray(sent.export)
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    decoded(sent.content_type, bytes(body))
    decoded(sent.content_type, bytes(body[:cut]))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["traceId", "spanId", "name", "attributes", "events", "status", "kind", "startTimeUnixNano", "x"]),
    JSON_VALUES,
    max_size=5,
)


@given(MEMBERS, JSON_VALUES)
@FUZZ
def test_json_of_any_shape_is_events_or_one_reason(members: dict[str, Any], resource: Any) -> None:
    span = {"traceId": TRACE_ID, "spanId": "a" * 16, "startTimeUnixNano": str(BEGIN), **members}
    for export in (
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": resource, "spans": [span]}]}]},
        {"resourceSpans": [{"scopeSpans": resource}]},
        {"resourceSpans": resource},
    ):
        try:
            body = orjson.dumps(export)
        except TypeError:
            continue  # a number beyond 64 bits, which this writer does not write
        decoded(headers.OTLP_JSON, body)


ATTRIBUTE_VALUES = JSON_VALUES | st.sampled_from(
    [
        "{}",
        "[]",
        '{"a":',
        '"x"',
        "[[[]]]",
        '{"usage":{"a":1e400}}',
        "1e999",
        "2026-13-01",
        '{"input":-1}',
        "null",
        "true",
    ]
)


@given(
    st.dictionaries(st.sampled_from(NAMES) | st.sampled_from(NAMES).map(lambda name: f"{name}.0.x"), ATTRIBUTE_VALUES),
    st.sampled_from(["ai", "langfuse-sdk", "pydantic-ai", "livekit-agents", "logfire", "other"]),
)
@settings(FUZZ, max_examples=250)
def test_any_value_of_any_known_attribute_is_mapped_without_failing(attributes: dict[str, Any], scope: str) -> None:
    event = SpanEvent("gen_ai.choice", None, attributes)
    events = span_events("p", span_of(attributes, scope=scope, events=(event,), resource=attributes))
    for one in events:
        assert_canonical(one)
    assert [one.kind for one in events].count(Kind.OBSERVATION) == 1


SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 9)), max_size=8)


@given(SPANS)
@FUZZ
def test_every_span_of_an_export_is_in_exactly_one_piece_with_its_resource_and_scope(
    spans: list[tuple[int, ...]],
) -> None:
    message = ExportTraceServiceRequest()
    wanted = []
    for resource, scope, number in sorted(spans):
        resource_spans = message.resource_spans.add(schema_url=f"resource {resource}")
        scope_spans = resource_spans.scope_spans.add(schema_url=f"scope {scope}")
        scope_spans.spans.add(name=f"{number}", trace_id=bytes(15) + bytes([number]), span_id=bytes(7) + b"a")
        wanted.append((resource, scope, number))
    pieces = protobuf.split(message.SerializeToString())
    found = []
    for piece in pieces:
        (resource_spans,) = ExportTraceServiceRequest.FromString(piece.record()).resource_spans
        (scope_spans,) = resource_spans.scope_spans
        (span,) = scope_spans.spans
        found.append((int(resource_spans.schema_url[-1]), int(scope_spans.schema_url[-1]), int(span.name)))
    assert found == wanted


@given(st.lists(st.text(max_size=5), max_size=5))
@FUZZ
def test_json_pieces_hold_every_span_once(names: list[str]) -> None:
    spans = [{"traceId": TRACE_ID, "spanId": "b" * 16, "startTimeUnixNano": BEGIN, "name": name} for name in names]
    body = orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    assert [piece.read().name for piece in json_text.split(body)] == names
