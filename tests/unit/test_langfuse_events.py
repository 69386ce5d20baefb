"""Langfuse's events as its clients send them, to canonical events: names, types, made-up values, what is refused."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.events import keys
from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.langfuse_environment import LONGEST_CACHED, canonical_environment
from pipeline.events.model import Event, Kind
from pipeline.events.reasons import DecodeError, Reason

NOON = 1_772_600_767_000_000  # 2026-03-04 05:06:07 UTC
TIME = "2026-03-04T05:06:07Z"


def envelope(type_: str, body: Any, **changes: Any) -> bytes:
    return orjson.dumps({"id": "e", "type": type_, "timestamp": TIME, "body": body, **changes})


def event(type_: str, **body: Any) -> Event:
    [made] = langfuse_events("p", parse_langfuse(envelope(type_, body)))
    return made


def refused(raw: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        parse_langfuse(raw)
    return caught.value


def test_a_trace_says_what_it_was_told() -> None:
    made = event(
        "trace-create", id="t", timestamp=TIME, name="chat", sessionId="s", userId="u", environment="live",
        metadata={"k": 1}, release="r", version="v", public=True, tags=["x"], input={"q": 1}, output="text",
        externalId="ignored",
    )  # fmt: skip
    assert made == Event(
        "p", "t", Kind.TRACE, "t", "e", NOON,
        {"start_time": NOON, "name": "chat", "session_id": "s", "user_id": "u", "environment": "live",
         "metadata": {"k": 1}, "release": "r", "version": "v", "public": True, "tags": ["x"], "input": '{"q":1}',
         "output": "text"},
    )  # fmt: skip


def test_a_generation_says_what_it_was_told() -> None:
    made = event(
        "generation-create", id="o", traceId="t", name="call", startTime=TIME, endTime=TIME, completionStartTime=TIME,
        level="error", statusMessage="broken", parentObservationId="parent", version="v", model="gpt-4o",
        modelParameters={"temperature": 0.5}, promptName="greeting", promptVersion=3,
        usageDetails={"input": 1}, costDetails={"input": "0.5"},
    )  # fmt: skip
    assert made == Event(
        "p", "t", Kind.OBSERVATION, "o", "e", NOON,
        {"name": "call", "start_time": NOON, "end_time": NOON, "completion_start_time": NOON, "level": "ERROR",
         "status_message": "broken", "parent_observation_id": "parent", "version": "v", "model": "gpt-4o",
         "model_parameters": '{"temperature":0.5}', "prompt_name": "greeting", "prompt_version": 3,
         "usage": {"input": 1}, "cost": {"input": Decimal("0.5")}, "type": "GENERATION"},
    )  # fmt: skip


def test_null_is_the_same_as_missing() -> None:
    nulls = dict.fromkeys(["name", "startTime", "metadata", "input", "level", "usage", "usageDetails", "model"])
    assert event("span-create", id="o", traceId="t", **nulls).fields == {"type": "SPAN"}
    assert event("trace-create", id="t", name=None, tags=None).fields == {}


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        ("span-create", "type", "SPAN"),
        ("span-update", "type_provisional", "SPAN"),
        ("generation-update", "type_provisional", "GENERATION"),
        ("event-create", "type", "EVENT"),
        *((f"{name}-create", "type", name.upper()) for name in ("agent", "tool", "chain", "retriever", "embedding")),
    ],
)
def test_a_create_gives_the_type_and_an_update_only_guesses_it(type_: str, field: str, value: str) -> None:
    made = event(type_, id="o", traceId="t")
    assert (made.fields, made.created) == ({field: value}, type_.endswith("create"))


def test_the_deprecated_observation_events_say_their_type_in_the_body() -> None:
    assert event("observation-create", id="o", traceId="t", type="generation").fields == {"type": "GENERATION"}
    made = event("observation-update", id="o", traceId="t", type="SPAN")
    assert made.fields == {"type_provisional": "SPAN"}


def test_what_a_client_left_out_is_derived_and_never_random() -> None:
    made = event("span-create", traceId="t")
    assert (made.entity_id, made.derived_trace) == (keys.derived_id("p", "e"), False)
    assert event("trace-create").entity_id == keys.derived_id("p", "e")
    lonely = event("span-create", id="o")
    assert (lonely.trace_id, lonely.derived_trace) == (keys.derived_id("p", "o"), True)
    assert event("span-update", id="o").trace_id == lonely.trace_id


def test_an_empty_parent_is_no_parent() -> None:
    assert event("span-create", id="o", traceId="t", parentObservationId="").fields["parent_observation_id"] == ""


@pytest.mark.parametrize(
    ("body", "usage", "cost"),
    [
        ({"usageDetails": {"input": 1, "output": "2", "total": 3.0}}, {"input": 1, "output": 2, "total": 3}, None),
        ({"usageDetails": {"a": -1, "b": 1.5, "c": "x", "d": True, "e": None, "f": 1e300, "g": 7}}, {"g": 7}, None),
        ({"usageDetails": {"p": {"cached": 1, "deep": {"er": 2}}}}, {"p.cached": 1, "p.deep.er": 2}, None),
        ({"usage": {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}},
         {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}, None),
        ({"usage": {"input": 1, "unit": "TOKENS", "inputCost": 0.25, "totalCost": "1e-3"}},
         {"input": 1}, {"input": Decimal("0.25"), "total": Decimal("0.001")}),
        ({"usage": {"input": 1}, "usageDetails": {"input": 2}}, {"input": 2}, None),
        ({"usage": {"input": 1, "totalCost": 1}, "costDetails": {"total": 2}}, {"input": 1}, {"total": Decimal(2)}),
        ({"usage": {}, "usageDetails": {}, "costDetails": {}}, None, None),
        ({"costDetails": {"total": 0, "input": None}}, None, {"total": Decimal(0)}),
    ],
)  # fmt: skip
def test_three_generations_of_usage_are_kept_as_received(body: Any, usage: Any, cost: Any) -> None:
    fields = event("generation-create", id="o", traceId="t", **body).fields
    assert (fields.get("usage"), fields.get("cost")) == (usage, cost)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Production", "production"),
        ("langfuse-prod", "prod"),
        ("LANGFUSE_langfuse-prod", "prod"),
        ("langfuse", "default"),
        ("my langfuse", "default"),
        ("not allowed!", "default"),
        ("", "default"),
        ("x" * 50, "x" * 40),
        ("langfuse-" * 100 + "prod", "prod"),
        ("x" * 1_000_000, "x" * 40),
    ],
)
def test_environments_follow_one_rule_on_traces_observations_and_scores(given: str, stored: str) -> None:
    score = {"name": "n", "traceId": "t", "value": 1}
    for made in (
        event("trace-create", id="t", environment=given),
        event("span-create", id="o", traceId="t", environment=given),
        event("score-create", id="s", environment=given, **score),
    ):
        assert made.fields["environment"] == stored


def test_long_environments_are_not_remembered() -> None:
    from pipeline.events.langfuse_environment import _cached

    before = _cached.cache_info().currsize
    for number in range(10):
        canonical_environment(f"{number}" * (LONGEST_CACHED + 1))
    assert _cached.cache_info().currsize == before


@pytest.mark.parametrize(
    ("body", "group", "fields"),
    [
        ({"traceId": "t", "value": 0.5}, "t", {"data_type": "NUMERIC", "value": 0.5, "string_value": ""}),
        ({"traceId": "t", "observationId": "o", "value": "good"}, "t",
         {"observation_id": "o", "data_type": "CATEGORICAL", "string_value": "good"}),
        ({"sessionId": "s", "value": 1, "dataType": "BOOLEAN"}, "session:s",
         {"session_id": "s", "data_type": "BOOLEAN", "value": 1.0, "string_value": "True"}),
        ({"datasetRunId": "r", "value": "fine", "dataType": "TEXT"}, "run:r",
         {"dataset_run_id": "r", "data_type": "TEXT", "string_value": "fine"}),
    ],
)  # fmt: skip
def test_a_score_has_one_subject_and_a_type_that_its_value_may_tell(body: Any, group: str, fields: Any) -> None:
    made = event("score-create", id="s", name="n", **body)
    assert (made.kind, made.entity_id, made.trace_id) == (Kind.SCORE, "s", group)
    assert made.fields == {"name": "n", "source": "API", **fields}


@pytest.mark.parametrize(
    "body",
    [
        {"value": 1},
        {"traceId": "t", "sessionId": "s", "value": 1},
        {"sessionId": "s", "observationId": "o", "value": 1},
        {"traceId": "t"},
        {"traceId": "t", "value": None},
        {"traceId": "t", "value": [1]},
        {"traceId": "t", "value": "x", "dataType": "NUMERIC"},
        {"traceId": "t", "value": 1, "dataType": "CATEGORICAL"},
        {"traceId": "t", "value": 2, "dataType": "BOOLEAN"},
        {"traceId": "t", "value": 1, "name": ""},
        {"traceId": "t", "value": 1, "name": None},
        {"traceId": "t", "value": 1, "source": "NOBODY"},
    ],
)
def test_a_score_that_fits_no_rule_is_refused(body: dict[str, Any]) -> None:
    assert refused(envelope("score-create", {"name": "n", **body})).reason is Reason.INVALID


@pytest.mark.parametrize("digits", [309, 400, 4000])
def test_a_number_that_no_float_holds_is_refused(digits: int) -> None:
    raw = envelope("score-create", {"name": "n", "traceId": "t", "value": 7}).replace(
        b"7}", b"1" + b"0" * digits + b"}"
    )
    assert refused(raw).reason is Reason.INVALID


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (b"{", Reason.MALFORMED, "JSON"),
        (b"\xff", Reason.MALFORMED, "JSON"),
        (b'{"id":"\\ud800"}', Reason.MALFORMED, "hex escape"),
        (b"[]", Reason.INVALID, "event"),
        (envelope("trace-create", {"id": "t"}, id=""), Reason.INVALID, "id"),
        (envelope("trace-create", {"id": "t\n"}), Reason.INVALID, "body.id"),
        (envelope("trace-create", {"id": "x" * 801}), Reason.INVALID, "body.id"),
        (envelope("trace-create", {"id": "t"}, timestamp="yesterday"), Reason.INVALID, "timestamp"),
        (envelope("trace-create", {"id": "t", "name": "x" * 1001}), Reason.INVALID, "body.name"),
        (envelope("trace-create", {"id": "t", "public": "yes"}), Reason.INVALID, "body.public"),
        (envelope("trace-create", None), Reason.INVALID, "body"),
        (envelope("trace-update", {"id": "t"}), Reason.INVALID, "type"),
        (envelope("dataset-run-item-create", {"id": "t"}), Reason.INVALID, "type"),
        (envelope("span-update", {"traceId": "t"}), Reason.INVALID, "body.id: required for span-update"),
        (envelope("event-create", {"traceId": "t"}), Reason.INVALID, "body.id: required"),
        (envelope("observation-create", {"id": "o"}), Reason.INVALID, "body.type: required"),
        (envelope("span-create", {"level": "LOUD"}), Reason.INVALID, "level"),
        (envelope("span-create", {"modelParameters": "hot"}), Reason.INVALID, "modelParameters"),
        (envelope("span-create", {"costDetails": {"input": -1}}), Reason.INVALID, "costDetails"),
        (envelope("span-create", {"usage": 5}), Reason.INVALID, "usage"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_path(raw: bytes, reason: Reason, says: str) -> None:
    error = refused(raw)
    assert error.reason is reason
    assert says in error.detail


def test_a_refusal_does_not_repeat_the_value() -> None:
    assert "secret" not in refused(envelope("span-create", {"level": "secret", "usage": "secret"})).detail


def test_unknown_keys_are_ignored_and_a_clients_log_is_no_event() -> None:
    assert event("span-create", id="o", traceId="t", color="red").fields == {"type": "SPAN"}
    assert langfuse_events("p", parse_langfuse(envelope("sdk-log", {"log": 1}))) == []


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "[1, -Infinity]"])
def test_what_json_does_not_have_is_refused(literal: str) -> None:
    raw = envelope("span-create", {"id": "o", "traceId": "t", "input": "HERE"})
    assert refused(raw.replace(b'"HERE"', literal.encode())).reason is Reason.MALFORMED
    assert parse_langfuse(raw.replace(b"HERE", b"NaN and Infinity"))


@pytest.mark.parametrize("type_", [None, "FOO", "", "SPAN "])
def test_a_deprecated_observation_event_has_a_type_that_exists(type_: str | None) -> None:
    for name in ("observation-create", "observation-update"):
        assert "body.type" in refused(envelope(name, {"id": "o", "type": type_})).detail


def test_a_correction_is_always_called_output_and_a_text_has_a_length() -> None:
    correction = {"traceId": "t", "observationId": "o", "value": "better", "dataType": "CORRECTION"}
    assert event("score-create", id="s", name="whatever", **correction).fields["name"] == "output"
    text = {"traceId": "t", "dataType": "TEXT", "name": "n"}
    assert event("score-create", id="s", value="x" * 500, **text).fields["string_value"] == "x" * 500
    for wrong in (
        {**text, "value": ""},
        {**text, "value": "x" * 501},
        {**text, "value": 5},
        {**correction, "configId": "c"},
        {**correction, "traceId": None, "observationId": None, "sessionId": "s"},
    ):
        assert refused(envelope("score-create", wrong)).reason is Reason.INVALID


@pytest.mark.parametrize(("type_", "body"), [("event-create", {}), ("span-update", {}), ("trace-create", {})])
def test_an_id_that_the_front_door_made_is_used_where_the_body_has_none(type_: str, body: dict[str, Any]) -> None:
    [made] = langfuse_events("p", parse_langfuse(envelope(type_, {"traceId": "t", **body}, entityId="made")))
    assert made.entity_id == "made"
    [made] = langfuse_events("p", parse_langfuse(envelope(type_, {"id": "own", "traceId": "t"}, entityId="made")))
    assert made.entity_id == "own"
