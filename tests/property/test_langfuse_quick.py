"""The shortcut through decoding takes nothing that the rules refuse, and gives what they give, to the last digit."""

import json
from datetime import datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.langfuse import What, langfuse_events, parse_langfuse
from pipeline.events.langfuse_quick import DEEPEST, quick_events
from pipeline.events.model import Event
from pipeline.ops.bench.traffic import traffic
from tests.fixtures.captures import recorded_events

ENVELOPE = b'{"id":"e","type":"%s","timestamp":"2026-03-04T05:06:07Z","body":%s}'
TYPES = ("trace-create", *get_args(What))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
IDS = st.text("ab/-é", min_size=1, max_size=8) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8
)
NUMBERS = (
    st.integers()
    | st.integers(-(2**66), 2**66)
    | st.integers(0, 3)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([-0.0, 1.0, 2.0**53, 1e22, 5e-324, 1.7976931348623157e308])
    | st.sampled_from([2**63 - 1, -(2**63), -(2**63) - 1, 2**63, 2**64 - 1, 2**64, 2**31])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
GOOD_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda at: f"{at.isoformat()}Z")
TIMES = GOOD_TIMES | st.sampled_from(
    [
        "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.123Z", "2026-03-04T05:06:07.1234567+02:00", "20260304T050607Z",
        "2026-03-04 05:06:07", "2026-03-04", "2026-W10-3", "1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z",
        "2026-03-04T05:06:07-23:59", "2026-03-04T05:06:60Z", "2026-03-04t05:06:07z", "0001-01-01T00:00:00+01:00", "now",
    ]
)  # fmt: skip
COUNTS = st.dictionaries(st.sampled_from(["input", "output", "total", "unit", "cached"]), JSON, max_size=4)
COSTS = st.dictionaries(st.sampled_from(["input", "total"]), st.floats(0, 999_999) | st.integers(0, 9), max_size=2)
CALLS = st.just([{"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}])
BOTH = {
    "name": TEXT, "version": TEXT, "environment": TEXT | st.sampled_from(["production", "langfuse-x", "PROD"]),
    "metadata": JSON, "input": JSON, "output": JSON | CALLS,
}  # fmt: skip
TRACE = BOTH | {
    "timestamp": GOOD_TIMES, "userId": TEXT, "sessionId": TEXT, "release": TEXT, "public": st.booleans(),
    "tags": st.lists(TEXT, max_size=3), "externalId": JSON,
}  # fmt: skip
OBSERVATION = BOTH | {
    "traceId": IDS, "type": st.sampled_from(["SPAN", "tool", "event"]), "startTime": GOOD_TIMES, "endTime": TIMES,
    "completionStartTime": GOOD_TIMES, "level": st.sampled_from(["DEBUG", "default", "Warning", "ERROR"]),
    "statusMessage": TEXT, "parentObservationId": IDS | st.just(""), "model": TEXT, "usage": COUNTS | COSTS,
    "modelParameters": st.dictionaries(TEXT, JSON, max_size=3), "usageDetails": COUNTS, "costDetails": COSTS,
    "promptName": TEXT, "promptVersion": st.integers(0, 2**31 - 1),
}  # fmt: skip
WRONG = {key: value | st.none() | TIMES | JSON for key, value in {**TRACE, **OBSERVATION, "id": TEXT}.items()}
SCRAPS = [
    b'"', b"\\", b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"\xff", b"\x7f", b"\t", b"-0", b"01", b"1e999", b'"id":"x",',
    b'"name":null,', b'"name":"y",', b'"z":NaN,', b'"input":1,', b",", b"}", b" ", b"\xef\xbb\xbf",
]  # fmt: skip


@st.composite
def envelopes(draw: st.DrawFn) -> bytes:
    """An envelope whose body is mostly right, and sometimes as wrong as JSON can be."""
    type_ = draw(st.sampled_from(TYPES))
    right = TRACE if type_ == "trace-create" else OBSERVATION
    fields = {key: right[key] for key in draw(st.lists(st.sampled_from(sorted(right)), max_size=9, unique=True))}
    if type_.startswith("observation-"):
        fields["type"] = OBSERVATION["type"]
    if draw(st.integers(0, 2)) == 0:
        key = draw(st.sampled_from([*WRONG, "unknown"]))
        fields[key] = WRONG.get(key, JSON)
    body = draw(st.fixed_dictionaries({"id": IDS, **fields}))
    outside: dict[str, Any] = {"id": draw(IDS), "type": type_, "timestamp": draw(TIMES), "body": body}
    if draw(st.integers(0, 3)) == 0:
        outside["entityId"] = draw(IDS | st.none() | JSON)
    if draw(st.integers(0, 3)) == 0:
        body.pop("id", None)
    shape = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    return json.dumps(
        outside, ensure_ascii=draw(st.booleans()), separators=shape, sort_keys=draw(st.booleans())
    ).encode()


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Bytes of an envelope of which some were replaced, doubled or left out."""
    raw = draw(envelopes())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        new = draw(st.binary(max_size=2) | st.sampled_from(SCRAPS))
        raw = raw[:at] + new + raw[at + draw(st.integers(0, 2)) :]
    return raw


def exact(events: list[Event]) -> str:
    """Everything about them: 1, 1.0 and True differ, and so does the order of keys in what they hold."""
    return repr([(*event[:6], sorted(event.fields.items()), *event[7:]) for event in events])


def agrees(raw: bytes) -> bool:
    """Whether the shortcut takes it; where it does, the rules must take it too and give the same."""
    quick = quick_events("p", raw)
    if quick is not None:
        assert exact(quick) == exact(langfuse_events("p", parse_langfuse(raw)))
    return quick is not None


@settings(max_examples=250)
@given(envelopes())
def test_what_the_shortcut_takes_is_what_the_rules_say(raw: bytes) -> None:
    agrees(raw)


@settings(max_examples=200)
@given(mangled())
def test_broken_bytes_are_never_taken_for_something_else(raw: bytes) -> None:
    agrees(raw)


def test_what_clients_send_takes_the_shortcut() -> None:
    taken = [raw for raw in recorded_events() if agrees(raw)]
    assert len(taken) > 0.9 * len(recorded_events())
    assert all(agrees(record.value) for record in traffic(170))


@pytest.mark.parametrize(
    "inside",
    [
        b'"id":"b"', b'"name":"x","name":null', b'"name":null,"name":"y"', b'"input":{"a":1,"b":2,"a":3}',
        b'"input":-0', b'"metadata":{"a":1,"b":2,"a":{"c":1}}', b'"usage":{"input":1,"output":2,"input":3}',
        b'"input":-0.0', b'"input":[1E5,1e-7,123456789012345678901234567890,0.1e1,1.0]', b'"input":[1e400]',
        b'"input":' + b"9" * 5_000, b'"metadata":[' + b"9" * 500 + b"]", b'"name":"\\u0000\\/\\ud83d\\ude00"',
        b'"name":"\\ud800"', b'"input":{"\\ud800":1}', b'"input":"\xff"', b'"input":{"\xff":1}',
        b'"name":"\xed\xa0\x80"',
        b'"name":"\x01"', b'"input":["\x1f","\x7f"]', b'"input":NaN', b'"input":[Infinity]', b'"na\\u006de":"x"',
        b'"input":[1,]',
        b'"input":[0.30000000000000004,9007199254740993.0,1e23,8.41e21,5e-324,123456789.123456789123456789]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("type_", [b"trace-create", b"generation-create"])
def test_json_that_no_writer_writes_is_read_alike(type_: bytes, inside: bytes) -> None:
    agrees(ENVELOPE % (type_, b'{"id":"a",%s}' % inside))


@pytest.mark.parametrize("depth", [1, DEEPEST, DEEPEST + 1, 190, 300, 900])
@pytest.mark.parametrize("field", ["input", "metadata", "modelParameters"])
def test_what_is_nested_too_deeply_is_left_to_the_rules(depth: int, field: str) -> None:
    type_ = b"generation-create" if field == "modelParameters" else b"trace-create"
    for opened, closed in ((b'{"a":', b"}"), (b"[", b"]")):
        deep = b'{"a":%s}' % (opened * (depth - 1) + b"1" + closed * (depth - 1))
        body = b'{"id":"o","%s":%s}' % (field.encode(), deep)
        assert agrees(ENVELOPE % (type_, body)) == (depth <= DEEPEST + (field == "modelParameters"))


@pytest.mark.parametrize("depth", [900, 1_200, 100_000])
@pytest.mark.parametrize("outside", ['"body":{"id":"o","input":%s}', '"body":{"id":"o"},"x":%s', '"type":%s'])
def test_what_is_nested_too_deeply_in_front_of_the_type_is_left_to_the_rules(depth: int, outside: str) -> None:
    for opened, closed in (('{"a":', "}"), ("[", "]")):
        deep = outside % (opened * depth + "1" + closed * depth)
        assert not agrees(f'{{{deep},"id":"e","timestamp":"2026-03-04T05:06:07Z","type":"trace-create"}}'.encode())


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a\x7fb"}, {"id": "\u0085"}, {"id": "x" * 801}, {"id": ""}, {"id": "o", "traceId": "\n"},
        {"id": "o", "parentObservationId": "\x00"}, {"id": "o", "parentObservationId": "p" * 801},
        {"id": "o", "name": "n" * 1001}, {"id": "o", "input": {"big": 2**70}}, {"id": "o", "metadata": {"big": 2**70}},
        {"id": "o", "metadata": [None]}, {"id": "o", "input": ""}, {"id": "o", "metadata": {}},
        {"id": "o", "usage": {}},
        {"id": "o", "type": "nonsense"}, {"id": "o", "type": "Tool"}, {"id": "o", "type": None},
        {"id": "o", "level": "Error"},
        {"id": "o", "usage": {"inputCost": "-1"}, "usageDetails": {"input": 1}},
        {"id": "o", "usage": {"inputCost": 0.5, "total": "12"}, "usageDetails": {"input": 1.0, "details": {"a": 2}}},
        {"id": "o", "usageDetails": {"a": [{"modality": "TEXT", "tokenCount": 3}]}},
        {"id": "o", "costDetails": {"a": None, "b": "1"}}, {"id": "o", "usage": {"a": 1}, "usageDetails": {"b": None}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("type_", ["trace-create", "generation-create", "span-update", "observation-create"])
def test_edges_agree(type_: str, body: dict[str, Any]) -> None:
    raw = {"id": "e", "type": type_, "timestamp": "2026-03-04T05:06:07Z", "body": body}
    agrees(json.dumps(raw).encode())
    agrees(json.dumps(raw, ensure_ascii=False).encode())


@pytest.mark.parametrize("entity_id", ["a\x7fb", "\x00", "", "x" * 801, "o2", None, 1])
@pytest.mark.parametrize("type_", ["trace-create", "span-update"])
def test_an_id_beside_the_body_is_checked_even_where_the_body_has_its_own(type_: str, entity_id: Any) -> None:
    raw = {"id": "e", "type": type_, "timestamp": "2026-03-04T05:06:07Z", "entityId": entity_id, "body": {"id": "o"}}
    agrees(json.dumps(raw).encode())
