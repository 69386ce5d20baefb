"""Exports that are wrong, huge or malicious: a clear reason for what is wrong, quickly, and nothing else."""

import math
import time
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from pipeline.events import headers
from pipeline.events.mapping.readers import parsed
from pipeline.events.model import Event
from pipeline.events.otlp import json_text, protobuf
from pipeline.events.otlp.records import otlp_events, record_events
from pipeline.events.otlp.wire import encode_varint, fields, message_field, number_field
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.tool_calls import MAX_CALLS, tool_calls
from pipeline.ingest.answers import ApiError
from pipeline.ingest.otlp_export import Limits, judge
from tests.fixtures.otlp import BEGIN, TRACE_ID, span_id

SECONDS = 5.0  # far above what each takes, far below what a quadratic way would


def export(*attributes: KeyValue, **span: Any) -> bytes:
    """An export of one valid span, or of one that `span` makes invalid."""
    message = ExportTraceServiceRequest()
    made = message.resource_spans.add().scope_spans.add().spans.add()
    said = {"trace_id": bytes.fromhex(TRACE_ID), "span_id": bytes.fromhex(span_id(0)), "start_time_unix_nano": BEGIN}
    for name, value in {**said, **span}.items():
        setattr(made, name, value)
    made.attributes.extend(attributes)
    return bytes(message.SerializeToString())


def read(body: bytes) -> list[Event]:
    return otlp_events("p", headers.OTLP_PROTOBUF, body)


def json_export(**span: Any) -> bytes:
    said = {"traceId": TRACE_ID, "spanId": span_id(0), "startTimeUnixNano": str(BEGIN), **span}
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [said]}]}]})


def read_json(body: bytes) -> list[Event]:
    return otlp_events("p", headers.OTLP_JSON, body)


def attribute(value: Any) -> list[dict[str, Any]]:
    return [{"key": "a", "value": value}]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("trace_id", b"", "traceId: required"),
        ("trace_id", bytes(16), "traceId: must not be all zero"),
        ("trace_id", b"short", "traceId: 32 hex digits"),
        ("trace_id", bytes(range(1, 18)), "traceId: 32 hex digits"),
        ("span_id", b"", "spanId: required"),
        ("span_id", b"123456789", "spanId: 16 hex digits"),
        ("parent_span_id", b"12345", "parentSpanId: 16 hex digits"),
        ("start_time_unix_nano", 0, "startTimeUnixNano: a span has a start or an end"),
        ("start_time_unix_nano", 2**64 - 1, "startTimeUnixNano: a time is nanoseconds"),
        ("end_time_unix_nano", 2**63, "endTimeUnixNano: a time is nanoseconds"),
    ],
)
def test_a_span_that_breaks_a_rule_is_named_by_its_field(field: str, value: Any, told: str) -> None:
    with pytest.raises(DecodeError, match=told) as refused:
        read(export(**{field: value}))
    assert refused.value.reason is Reason.INVALID


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ({"traceId": None}, "traceId: required"),
        ({"traceId": "Z" * 32}, "traceId: hex digits"),
        ({"traceId": "12 4" * 8}, "traceId: hex digits"),
        ({"traceId": 5}, "traceId: a text"),
        ({"spanId": "\u0661" * 16}, "spanId: hex digits"),
        ({"startTimeUnixNano": "soon"}, "startTimeUnixNano: a whole number"),
        ({"startTimeUnixNano": -5}, "startTimeUnixNano: a time is"),
        ({"startTimeUnixNano": "9" * 39}, "startTimeUnixNano: a time is"),
        ({"startTimeUnixNano": "9" * 5000}, "startTimeUnixNano: a whole number"),
        ({"startTimeUnixNano": None}, "a span has a start or an end"),
        ({"attributes": {"a": 1}}, "attributes: a list"),
        ({"attributes": [1]}, "attributes: a list of objects"),
        ({"attributes": attribute(5)}, "attributes: a value is an object"),
        ({"attributes": attribute({"intValue": "x"})}, "an intValue is a whole number"),
        ({"attributes": attribute({"doubleValue": "x"})}, "a doubleValue is a number"),
        ({"attributes": attribute({"stringValue": 5})}, "a str is required"),
        ({"attributes": attribute({"someValue": 5})}, "no type of values is called someValue"),
        ({"attributes": attribute({"arrayValue": {"values": 5}})}, "values: a list"),
        ({"events": [5]}, "events: a list of objects"),
        ({"events": {"a": 1}}, "events: a list"),
        ({"status": 5}, "status: an object"),
        ({"status": {"code": [2]}}, "code: a number or a name"),
        ({"kind": {"a": 1}}, "kind: a number or a name"),
        ({"name": ["x"]}, "name: a text"),
    ],
)
def test_a_json_span_that_breaks_a_rule_is_named_by_its_member(span: dict[str, Any], told: str) -> None:
    with pytest.raises(DecodeError, match=told) as refused:
        read_json(json_export(**span))
    assert refused.value.reason is Reason.INVALID


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"5",
        b'{"resourceSpans":5}',
        b'{"resourceSpans":[5]}',
        b"{",
        b'{"resourceSpans":[{"scopeSpans":7}]}',
        b'{"a":NaN}',
        b"\xff\xfe",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}',
    ],
)
def test_what_is_no_json_export_is_malformed(body: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        json_text.split(body)
    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "body", [b"{}", b'{"resourceSpans":null}', b'{"resourceSpans":[{"scopeSpans":[{"spans":null}]}]}']
)
def test_an_export_without_spans_has_none(body: bytes) -> None:
    assert json_text.split(body) == []
    assert protobuf.split(b"") == []


@pytest.mark.parametrize(
    "body", [b"\x0a", b"\x0a\xff", b"\x0b\x00", b"\x00\x01", b"\xff" * 20, b"\x0a" + b"\x80" * 10 + b"\x01",
             b"no protobuf"]
)  # fmt: skip
def test_what_is_no_protobuf_is_malformed(body: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        protobuf.split(body)
    assert refused.value.reason is Reason.MALFORMED


def test_invalid_utf8_in_an_attribute_is_malformed() -> None:
    good = export(KeyValue(key="a", value=AnyValue(string_value="MARK")))
    assert read(good)
    with pytest.raises(DecodeError):
        read(good.replace(b"MARK", b"\xff\xfeRK"))


def test_an_export_of_logs_is_told_where_it_belongs() -> None:
    log_record = number_field(2, 9) + message_field(5, message_field(1, b"text"))  # severity, body
    logs = message_field(1, message_field(2, message_field(2, log_record)))
    with pytest.raises(DecodeError, match="logs and metrics have routes of their own"):
        for piece in protobuf.split(logs):
            piece.read()


def deep(levels: int) -> bytes:
    """The bytes of an AnyValue nested so deep, made without recursion."""
    value = message_field(1, b"x")
    for _ in range(levels):
        value = message_field(5, message_field(1, value))
    return value


def test_a_value_nested_without_end_is_refused_and_not_followed() -> None:
    began = time.monotonic()
    attribute_of_span = message_field(9, message_field(1, b"a") + message_field(2, deep(5_000)))
    piece = protobuf.split(export())[0]
    with pytest.raises(DecodeError):
        piece._replace(span=piece.span + attribute_of_span).read()
    nested = b'{"arrayValue":{"values":[' * 100_000 + b"]}}" * 100_000
    body = json_export().replace(b'"spanId"', b'"attributes":[{"key":"a","value":' + nested + b'}],"spanId"')
    with pytest.raises(DecodeError):
        read_json(body)
    shallow = b'{"arrayValue":{"values":[' * 60 + b"]}}" * 60
    with pytest.raises(DecodeError, match="nested deeper"):
        read_json(json_export().replace(b'"spanId"', b'"attributes":[{"key":"a","value":' + shallow + b'}],"spanId"'))
    assert time.monotonic() - began < SECONDS


def test_ten_thousand_attributes_are_kept() -> None:
    began = time.monotonic()
    many = [KeyValue(key=f"llm.input_messages.{n}.message.x{n}", value=AnyValue(int_value=n)) for n in range(5_000)]
    more = [KeyValue(key=f"a.b.{n}", value=AnyValue(string_value="v")) for n in range(5_000)]
    observation = read(export(*many, *more))[0].fields
    assert len(orjson.loads(observation["input"])) == 5_000
    assert len(observation["metadata"]["attributes"]) == 5_000
    assert time.monotonic() - began < SECONDS


def test_numbers_that_json_does_not_have_become_words_in_both_encodings() -> None:
    odd = {"nan": math.nan, "inf": math.inf, "minus": -math.inf}
    wanted = {"nan": "NaN", "inf": "Infinity", "minus": "-Infinity"}
    pairs = [KeyValue(key=name, value=AnyValue(double_value=value)) for name, value in odd.items()]
    assert read(export(*pairs))[0].fields["metadata"]["attributes"] == wanted
    named = [{"key": name, "value": {"doubleValue": value}} for name, value in wanted.items()]
    assert read_json(json_export(attributes=named))[0].fields["metadata"]["attributes"] == wanted


def test_all_kinds_of_values_are_the_same_in_both_encodings() -> None:
    values = [
        AnyValue(string_value="s"), AnyValue(bool_value=False), AnyValue(int_value=-(2**63)),
        AnyValue(double_value=0.5), AnyValue(bytes_value=b"\x00\xff"), AnyValue(),
    ]  # fmt: skip
    message = AnyValue()
    message.array_value.values.extend(values)
    written = [
        {"stringValue": "s"}, {"boolValue": False}, {"intValue": str(-(2**63))}, {"doubleValue": 0.5},
        {"bytesValue": "AP8="}, {},
    ]  # fmt: skip
    wanted = {"a": ["s", False, -(2**63), 0.5, "AP8=", None]}
    assert read(export(KeyValue(key="a", value=message)))[0].fields["metadata"]["attributes"] == wanted
    body = json_export(attributes=attribute({"arrayValue": {"values": written}}))
    assert read_json(body)[0].fields["metadata"]["attributes"] == wanted


def test_fields_that_nobody_knows_yet_stay_in_the_record() -> None:
    unknown = number_field(1000, 7) + message_field(1001, b"future")
    span = protobuf.split(export())[0].span + unknown
    scope_spans = message_field(2, span) + message_field(1, message_field(1, b"scope")) + unknown
    body = unknown + message_field(1, message_field(2, scope_spans) + unknown)
    (piece,) = protobuf.split(body)
    assert piece.span == span
    assert piece.scope.endswith(unknown)
    assert (piece.resource, piece.around) == (unknown, unknown)
    assert protobuf.split(piece.record()) == [piece]
    future = json_export(future={"a": [1]}).replace(b'{"scopeSpans"', b'{"later":[1.0e1],"scopeSpans"')
    (piece_of_text,) = json_text.split(future)
    assert b'"later":[1.0e1]' in piece_of_text.record()
    assert b'"future":{"a":[1]}' in piece_of_text.record()


def test_the_same_span_is_the_same_event_whatever_it_was_exported_with() -> None:
    one, other = export(name="a"), export(name="b")
    together = other + one
    alone = read(one)
    assert [event.event_id for event in alone] == [event.event_id for event in read(together)[len(alone) :]]
    assert protobuf.split(together)[1].record() == protobuf.split(one)[0].record() == one


def test_a_span_still_running_has_no_end_and_one_without_a_start_has_no_start() -> None:
    running = read(export())[0]
    assert "end_time" not in running.fields
    assert running.at == BEGIN // 1000
    ended = read(export(start_time_unix_nano=0, end_time_unix_nano=BEGIN))[0]
    assert "start_time" not in ended.fields
    assert ended.at == ended.fields["end_time"] == BEGIN // 1000


def test_json_that_is_nested_too_deep_for_writers_stays_text() -> None:
    deep_text = "[" * 300 + "]" * 300
    assert parsed(deep_text) == deep_text
    assert parsed("[" * 100_000) == "[" * 100_000
    metadata = read(export(KeyValue(key="langfuse.observation.metadata.m", value=AnyValue(string_value=deep_text))))
    assert metadata[0].fields["metadata"]["m"] == deep_text


def test_tool_calls_are_bounded() -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": "{}"}}] * (MAX_CALLS + 5)
    assert len(tool_calls(orjson.dumps({"tool_calls": calls}).decode())) == MAX_CALLS
    assert tool_calls('{"tool_calls":' + '{"message":' * 500 + "1" + "}" * 501) == []
    assert tool_calls('{"tool_calls": [') == []


def test_numbers_on_the_wire_are_written_as_they_are_read() -> None:
    for number in (0, 1, 127, 128, 300, 2**32, 2**63 - 1):
        (field,) = fields(number_field(5, number), 0, len(number_field(5, number)))
        assert (field.number, field.wire) == (5, 0)
        assert number_field(5, number)[field.value :] == encode_varint(number)


def test_a_large_resource_is_read_once_and_not_for_each_of_its_spans() -> None:
    began = time.monotonic()
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.extend(
        KeyValue(key=f"k{n}", value=AnyValue(string_value="v" * 100)) for n in range(10_000)
    )
    spans = resource.scope_spans.add().spans
    for number in range(1, 41):
        spans.add(trace_id=bytes.fromhex(TRACE_ID), span_id=number.to_bytes(8), start_time_unix_nano=BEGIN)
    body = bytes(message.SerializeToString())
    pieces = [piece.read() for piece in protobuf.split(body)]
    assert len({id(span.resource) for span in pieces}) == 1
    limits = Limits(span=4_000_000, records=20_000_000)
    with pytest.raises(ApiError) as refused:
        judge("p", headers.OTLP_PROTOBUF, body, limits)
    assert refused.value.status == 413
    assert time.monotonic() - began < SECONDS


def test_a_record_whose_archive_would_be_too_large_is_refused() -> None:
    body = export(KeyValue(key="a", value=AnyValue(string_value="x" * 100_000))) * 40
    assert len(read(body)) == 80
    with pytest.raises(DecodeError, match="one span per record") as refused:
        record_events("p", headers.OTLP_PROTOBUF, body)
    assert refused.value.reason is Reason.TOO_LARGE
