"""OTLP as records on Kafka: found by its content type or its first bytes, in the project of header or key."""

import pytest

from pipeline.events import headers, keys
from pipeline.events.decode import decode_record
from pipeline.events.model import Kind, Micros, Record
from pipeline.events.reasons import DecodeError, Reason
from tests.fixtures.otlp import TRACE_ID, json_export, protobuf_export, sdk_span, sdk_trace, span_id

KEY = keys.record_key("p", TRACE_ID)
BODIES = {headers.OTLP_PROTOBUF: protobuf_export(sdk_trace()), headers.OTLP_JSON: json_export(sdk_trace())}


def record(value: bytes, key: bytes = KEY, **named: bytes) -> Record:
    told = tuple((name.replace("_", "-"), content) for name, content in named.items())
    return Record("t", 0, 0, Micros(1), key, value, told)


@pytest.mark.parametrize("content_type", BODIES)
def test_several_spans_of_one_trace_in_one_record(content_type: bytes) -> None:
    told = {"content_type": content_type, "spanfold_project": b"p"}
    events = decode_record(record(BODIES[content_type], **told), 10**6)
    assert [event.entity_id for event in events if event.kind is Kind.OBSERVATION] == [
        span_id(number) for number in (1, 2, 3, 4, 0)
    ]
    assert {event.trace_id for event in events} == {TRACE_ID}
    assert decode_record(record(BODIES[content_type]), 10**6) == events, "first bytes and key tell as much"
    assert len({event.event_id for event in events}) == len(events)


def test_a_key_that_is_no_project_and_trace_needs_the_header() -> None:
    with pytest.raises(DecodeError) as refused:
        decode_record(record(BODIES[headers.OTLP_PROTOBUF], key=TRACE_ID.encode()), 10**6)
    assert refused.value.reason is Reason.NO_PROJECT


def test_spans_of_another_trace_or_project_do_not_belong_to_the_key() -> None:
    for key in (keys.record_key("p", "f" * 32), keys.record_key("other", TRACE_ID)):
        with pytest.raises(DecodeError) as refused:
            decode_record(record(BODIES[headers.OTLP_JSON], key=key, spanfold_project=b"p"), 10**6)
        assert refused.value.reason is Reason.KEY_MISMATCH


def test_both_encodings_say_the_same() -> None:
    as_protobuf, as_json = (decode_record(record(body), 10**6) for body in BODIES.values())
    assert [(event.kind, event.entity_id, event.at, event.fields) for event in as_protobuf] == [
        (event.kind, event.entity_id, event.at, event.fields) for event in as_json
    ]


def test_the_root_makes_one_trace_event_and_other_spans_none_unless_they_speak_of_the_trace() -> None:
    told = {"langfuse.trace.metadata.plan": "pro", "langfuse.trace.input": "asked"}
    spans = [
        sdk_span(1, "child", 0, attributes=told),
        sdk_span(0, "root", attributes={"input": "own", "output": "out"}),
    ]
    traces = [e for e in decode_record(record(protobuf_export(spans)), 10**6) if e.kind is Kind.TRACE]
    child, root = traces
    assert (child.fields, root.fields) == (
        {"metadata": {"plan": "pro"}, "input": "asked"},
        {"input": "own", "output": "out"},
    )
    assert root.at < child.at, "the root's own input gives way"


def test_user_session_and_tags_travel_with_the_observation() -> None:
    told = {"user.id": "u", "session.id": "s", "langfuse.trace.tags": ["a"], "langfuse.trace.name": "t"}
    (event,) = decode_record(record(protobuf_export([sdk_span(1, "child", 0, attributes=told)])), 10**6)
    assert event.kind is Kind.OBSERVATION
    carried = ("user_id", "session_id", "tags", "trace_name", "name")
    assert [event.fields.get(name) for name in carried] == ["u", "s", ["a"], "t", "child"]
