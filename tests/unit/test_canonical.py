"""Canonical JSON: what is accepted, what it comes to mean, and what is refused with which words."""

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.events import keys
from pipeline.events.avro_schemas import schema_folder
from pipeline.events.canonical import parse_canonical_json, to_canonical_json
from pipeline.events.json_schemas import json_schemas
from pipeline.events.model import Event, Kind, Micros
from pipeline.events.reasons import DecodeError, Reason

AT = "2026-03-04T05:06:07.000008Z"
AT_MICROS = 1_772_600_767_000_008
TRACE = {"kind": "trace", "project_id": "p", "trace_id": "t", "event_id": "e", "at": AT}
OBSERVATION = {**TRACE, "kind": "observation", "observation_id": "o"}
SCORE = {**TRACE, "kind": "score", "score_id": "s", "name": "quality", "value": 0.5}


def parse(body: dict[str, Any], **more: Any) -> Event:
    return parse_canonical_json(orjson.dumps({**body, **more}))


def refusal(body: dict[str, Any], **more: Any) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        parse(body, **more)
    return caught.value


def fields(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return dict(parse(body, **more).fields)


def test_a_trace_event_is_about_its_trace() -> None:
    assert parse(TRACE, name="chat", tags=["a"], public=True) == Event(
        "p", "t", Kind.TRACE, "t", "e", Micros(AT_MICROS), {"name": "chat", "tags": ["a"], "public": True}
    )


def test_an_observation_event_may_carry_attributes_of_its_trace() -> None:
    event = parse(OBSERVATION, type="generation", trace_name="chat", user_id="u", created=False)
    assert event == Event(
        "p",
        "t",
        Kind.OBSERVATION,
        "o",
        "e",
        Micros(AT_MICROS),
        {"type": "GENERATION", "trace_name": "chat", "user_id": "u"},
        created=False,
    )


def test_null_says_nothing_and_unknown_keys_are_ignored() -> None:
    assert fields(OBSERVATION, name=None, usage=None, created=None, favourite_colour="blue") == {}


def test_empty_values_are_opinions() -> None:
    assert fields(TRACE, name="", input="", metadata={}, tags=[]) == {
        "name": "", "input": "", "metadata": {}, "tags": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "micros"),
    [
        (AT, AT_MICROS),
        ("2026-03-04T06:06:07.000008+01:00", AT_MICROS),
        ("2026-03-04T05:06:07.000008", AT_MICROS),
        ("2026-03-04T05:06:07.0000089Z", AT_MICROS),
        (AT_MICROS, AT_MICROS),
        ("1970-01-01T00:00:00Z", 0),
        ("2200-12-31T23:59:59.999999Z", 7_289_654_399_999_999),
    ],
)
def test_times_come_to_microseconds_without_rounding(given: object, micros: int) -> None:
    assert parse(TRACE, at=given).at == micros


@pytest.mark.parametrize(
    "given",
    ["1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00",
     -1, 7_289_654_400_000_000, 10**30, 1.5, True, "yesterday", "", {}],
)  # fmt: skip
def test_times_outside_1970_to_2200_or_in_other_forms_are_refused(given: object) -> None:
    raw = orjson.dumps({**TRACE, "at": 0}).replace(b'"at":0', b'"at":' + str(given).encode())
    raw = raw if type(given) is int else orjson.dumps({**TRACE, "at": given})
    with pytest.raises(DecodeError, match=r"^invalid: at: a time is ISO 8601 text"):
        parse_canonical_json(raw)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("as it is \u0000 ☃", "as it is \u0000 ☃"),
        ('{"a": 1}', '{"a": 1}'),
        ({"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}'),
        ([], "[]"),
        (0.1, "0.1"),
        (False, "false"),
    ],
)
def test_input_and_output_are_text_or_compact_json(given: object, text: str) -> None:
    assert fields(OBSERVATION, input=given, output=given) == {"input": text, "output": text}


def test_whole_numbers_beyond_64_bits_keep_every_digit() -> None:
    raw = orjson.dumps(OBSERVATION)[:-1] + b',"input":[%d],"metadata":{"n":[%d]}}' % (10**30, -(10**30))
    assert parse_canonical_json(raw).fields == {"input": f"[{10**30}]", "metadata": {"n": [str(-(10**30))]}}


@pytest.mark.parametrize(
    ("given", "metadata"),
    [({"a": {"b": None}}, {"a": {"b": None}}), ([1], {"metadata": [1]}), ("x", {"metadata": "x"})],
)
def test_metadata_is_an_object_and_anything_else_is_wrapped(given: object, metadata: dict[str, Any]) -> None:
    assert fields(TRACE, metadata=given) == {"metadata": metadata}


@pytest.mark.parametrize("given", [{"top_p": 1}, '{"top_p": 1}'])
def test_model_parameters_are_an_object_or_its_text(given: object) -> None:
    assert fields(OBSERVATION, model_parameters=given) == {"model_parameters": '{"top_p":1}'}


def test_cost_is_exact_whether_number_or_text() -> None:
    raw = orjson.dumps(OBSERVATION)[:-1] + b',"cost":{"a":0.1,"b":"0.1","c":3,"d":1e-7,"e":null,"f":"2e-12"}}'
    assert parse_canonical_json(raw).fields["cost"] == {
        "a": Decimal("0.1"), "b": Decimal("0.1"), "c": Decimal(3), "d": Decimal("0.0000001"), "f": Decimal("2e-12"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("cost", {"input": -0.1}),
        ("cost", {"input": "1e999999999"}),
        ("cost", {"input": "1" * 100_000}),
        ("cost", {"input": "1_0"}),
        ("cost", {"input": 1_000_000}),
        ("cost", {"input": True}),
        ("cost", [1]),
        ("usage", {"input": -1}),
        ("usage", {"input": 1.5}),
        ("usage", {"input": "3"}),
        ("usage", {"input": 2**63}),
        ("prompt_version", -1),
        ("prompt_version", 2**31),
        ("level", "FATAL"),
        ("type", ""),
        ("tags", "a"),
        ("public", "yes"),
        ("model_parameters", "[1]"),
        ("model_parameters", "{"),
        ("name", 5),
        ("parent_observation_id", "a\u0000b"),
        ("parent_observation_id", ""),
        ("start_time", "noon"),
    ],
)
def test_a_field_that_breaks_a_rule_is_named_in_the_refusal(field: str, given: object) -> None:
    error = refusal(OBSERVATION, **{field: given})
    assert error.reason is Reason.INVALID
    assert error.detail.startswith(field)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (SCORE, b'"value":%s'),
        (OBSERVATION, b'"cost":{"input":%s}'),
        (OBSERVATION, b'"usage":{"input":%s}'),
        (TRACE, b'"at":%s'),
    ],
)
def test_numbers_that_are_not_finite_are_refused(number: bytes, body: dict[str, Any], field: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_canonical_json(orjson.dumps(body)[:-1] + b"," + field % number + b"}")
    assert caught.value.reason is Reason.INVALID
    assert caught.value.detail.startswith(field[1:].partition(b'"')[0].decode())


@pytest.mark.parametrize("missing", ["project_id", "at", "kind", "observation_id"])
def test_what_every_observation_needs(missing: str) -> None:
    error = refusal({name: value for name, value in OBSERVATION.items() if name != missing})
    assert error.reason is Reason.INVALID


@pytest.mark.parametrize("name", ["project_id", "trace_id", "event_id", "observation_id"])
@pytest.mark.parametrize("bad", ["", "a\nb", "a\u0000b", "\x7f", "x" * 801, 7])
def test_ids_follow_one_rule(name: str, bad: object) -> None:
    assert refusal(OBSERVATION, **{name: bad}).detail.startswith(name)


def test_a_project_id_has_no_slash_because_keys_do() -> None:
    assert refusal(OBSERVATION, project_id="a/b").detail.startswith("project_id")
    assert parse(OBSERVATION, trace_id="a/b", observation_id="ü" * 800).trace_id == "a/b"


def test_a_trace_cannot_take_the_name_of_a_group_of_scores() -> None:
    assert refusal(TRACE, trace_id="session:1").detail.startswith("trace_id")
    assert refusal(SCORE, trace_id="run:1").detail.startswith("trace_id")


def test_an_event_without_an_id_gets_one_from_its_bytes() -> None:
    body = {name: value for name, value in TRACE.items() if name != "event_id"}
    assert parse(body) == parse(body)
    assert parse(body).event_id != parse(body, name="x").event_id


def test_an_observation_without_a_trace_gets_one_of_its_own() -> None:
    event = parse({name: value for name, value in OBSERVATION.items() if name != "trace_id"})
    assert event.derived_trace
    assert event.trace_id == keys.derived_id("p", "o")
    assert parse_canonical_json(to_canonical_json(event)) == event


@pytest.mark.parametrize(
    ("given", "data_type", "expected"),
    [
        (1, None, ("NUMERIC", 1.0, "")),
        (1, "BOOLEAN", ("BOOLEAN", 1.0, "True")),
        (False, None, ("BOOLEAN", 0.0, "False")),
        (True, "NUMERIC", ("NUMERIC", 1.0, "")),
        ("good", None, ("CATEGORICAL", None, "good")),
        ("good", "TEXT", ("TEXT", None, "good")),
        ("", "CORRECTION", ("CORRECTION", None, "")),
    ],
)
def test_the_value_tells_the_type_of_a_score(given: object, data_type: str | None, expected: tuple[Any, ...]) -> None:
    score = fields(SCORE, value=given, data_type=data_type)
    assert (score["data_type"], score.get("value"), score["string_value"]) == expected
    assert score["source"] == "API"


@pytest.mark.parametrize(
    ("given", "data_type"),
    [("x", "NUMERIC"), ("True", "BOOLEAN"), (2, "BOOLEAN"), (1, "TEXT"), (None, None), ([1], None), ({}, "TEXT")],
)
def test_a_value_that_does_not_fit_its_type_is_refused(given: object, data_type: str | None) -> None:
    assert refusal(SCORE, value=given, data_type=data_type).detail.startswith("value: ")


def test_a_whole_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(DecodeError, match="value: a finite number"):
        parse_canonical_json(orjson.dumps(SCORE)[:-1] + b',"value":1' + b"0" * 400 + b"}")


@pytest.mark.parametrize(
    ("subject", "group"),
    [({"session_id": "x"}, "session:x"), ({"dataset_run_id": "x"}, "run:x"), ({"trace_id": "x"}, "x"),
     ({"trace_id": "x", "observation_id": "y"}, "x")],
)  # fmt: skip
def test_a_score_is_grouped_by_its_one_subject(subject: dict[str, str], group: str) -> None:
    event = parse({name: value for name, value in SCORE.items() if name != "trace_id"}, **subject)
    assert (event.trace_id, event.entity_id) == (group, "s")
    assert parse_canonical_json(to_canonical_json(event)) == event


@pytest.mark.parametrize(
    ("subject", "named"),
    [({"trace_id": None}, "trace_id"), ({"session_id": "x"}, "trace_id"), ({"dataset_run_id": "x"}, "trace_id"),
     ({"trace_id": None, "session_id": "x", "observation_id": "o"}, "observation_id")],
)  # fmt: skip
def test_a_score_has_exactly_one_subject(subject: dict[str, str | None], named: str) -> None:
    assert refusal(SCORE, **subject).detail.startswith(f"{named}: ")


@pytest.mark.parametrize("raw", [b"{", b"", b"\xff{}", b'{"kind":"trace"} x', b'{"name":"\\ud800"}', b"[" * 300])
def test_bytes_that_are_no_json_are_malformed(raw: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_canonical_json(raw)
    assert caught.value.reason is Reason.MALFORMED


def test_a_refusal_does_not_repeat_values() -> None:
    assert "hunter2" not in refusal(OBSERVATION, level="hunter2", public="hunter2").detail


def test_writing_and_reading_gives_the_same_event() -> None:
    event = parse(
        OBSERVATION, type="TOOL", start_time=AT, end_time=AT_MICROS, input={"a": 1}, metadata={"k": [1, {"x": None}]},
        usage={"input": 3}, cost={"input": "0.000000000001"}, model_parameters={"t": 0.5}, tool_calls=["f"],
        prompt_version=2, created=False,
    )  # fmt: skip
    assert parse_canonical_json(to_canonical_json(event)) == event


@pytest.mark.parametrize(
    ("body", "group", "kind"),
    [
        ({"kind": "trace", "trace_id": "t"}, "t", Kind.TRACE),
        ({"kind": "score", "trace_id": "t", "score_id": "s"}, "t", Kind.SCORE),
        ({"kind": "score", "session_id": "x", "score_id": "s"}, "session:x", Kind.SCORE),
        ({"kind": "score", "dataset_run_id": "y", "score_id": "s"}, "run:y", Kind.SCORE),
    ],
)
def test_a_tombstone_says_nothing_but_that_its_entity_is_gone(body: dict[str, Any], group: str, kind: Kind) -> None:
    raw = json.dumps({**body, "project_id": "p", "at": AT, "event_id": "e", "deleted": True, "name": "n"}).encode()
    event = parse_canonical_json(raw)
    assert (event.kind, event.trace_id, event.at, event.fields) == (kind, group, AT_MICROS, {"deleted": True})
    assert parse_canonical_json(to_canonical_json(event)) == event


def test_deleted_false_is_no_opinion_and_an_observation_cannot_be_deleted() -> None:
    trace = {"kind": "trace", "trace_id": "t", "project_id": "p", "at": AT, "name": "n", "deleted": False}
    assert parse_canonical_json(json.dumps(trace).encode()).fields == {"name": "n"}
    observation = {**trace, "kind": "observation", "observation_id": "o", "deleted": True}
    with pytest.raises(DecodeError, match="deleted"):
        parse_canonical_json(json.dumps(observation).encode())
    score = {**trace, "kind": "score", "score_id": "s", "deleted": True, "session_id": "x"}
    with pytest.raises(DecodeError, match="one subject"):
        parse_canonical_json(json.dumps(score).encode())


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_is_refused_but_may_stand_in_a_text(literal: str) -> None:
    body = '{"kind": "trace", "project_id": "p", "trace_id": "t", "at": 5, "input": %s}'
    with pytest.raises(DecodeError) as caught:
        parse_canonical_json((body % literal).encode())
    assert caught.value.reason is Reason.MALFORMED
    assert parse_canonical_json((body % f'"{literal}"').encode()).fields == {"input": literal}


def test_the_json_schemas_are_those_of_the_types() -> None:
    for name, content in json_schemas().items():
        assert (schema_folder() / name).read_bytes() == content, "run python -m pipeline.events.json_schemas"
