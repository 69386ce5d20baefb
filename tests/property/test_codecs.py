"""Whatever the event, both encodings mean the same; whatever the bytes, only DecodeError comes out (I5)."""

import io
import json
from typing import Any, get_args

import fastavro
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.events import headers
from pipeline.events.avro import decode, encode
from pipeline.events.avro_schemas import HEADER_LENGTH, NAMES, load_versions, schema_folder
from pipeline.events.canonical import parse_canonical_json, to_canonical_json
from pipeline.events.confluent import Confluent
from pipeline.events.decode import decode_record
from pipeline.events.json_schemas import json_schemas
from pipeline.events.keys import check_id, is_trace
from pipeline.events.model import Event, Kind, Level, Micros, Record
from pipeline.events.reasons import DecodeError
from pipeline.events.schema_sources import Registered
from pipeline.events.values import MAX_MICROS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(is_trace)
PROJECTS = IDS.filter(lambda project: "/" not in project)
TIMES = st.integers(0, MAX_MICROS - 1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
AMOUNTS = st.decimals(0, 999_999, allow_nan=False, places=12).map(str) | st.floats(0, 999_999) | st.integers(0, 999_999)
COMMON = {
    "project_id": PROJECTS,
    "event_id": IDS,
    "at": TIMES,
    "created": st.booleans(),
    "environment": TEXT,
    "metadata": JSON,
}
BOTH = {
    "name": TEXT, "version": TEXT, "input": JSON, "output": JSON, "user_id": TEXT, "session_id": TEXT, "release": TEXT,
    "tags": st.lists(TEXT, max_size=3), "public": st.booleans(), "start_time": TIMES,
}  # fmt: skip
OBSERVATION = {
    "trace_id": IDS, "trace_name": TEXT, "parent_observation_id": IDS, "type": IDS, "type_provisional": IDS,
    "end_time": TIMES, "completion_start_time": TIMES, "level": st.sampled_from(get_args(Level)),
    "status_message": TEXT, "model": TEXT, "model_parameters": st.dictionaries(TEXT, JSON, max_size=2),
    "usage": st.dictionaries(TEXT, st.integers(0, 2**63 - 1), max_size=3),
    "cost": st.dictionaries(TEXT, AMOUNTS, max_size=3), "prompt_name": TEXT,
    "prompt_version": st.integers(0, 2**31 - 1), "tool_calls": st.lists(TEXT, max_size=3),
}  # fmt: skip
SUBJECTS = st.one_of(
    st.fixed_dictionaries({"trace_id": IDS}, optional={"observation_id": IDS}),
    st.fixed_dictionaries({"session_id": IDS}),
    st.fixed_dictionaries({"dataset_run_id": IDS}),
)
VALUES = st.one_of(
    st.fixed_dictionaries(
        {"value": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)},
        optional={"data_type": st.just("NUMERIC")},
    ),
    st.fixed_dictionaries({"value": st.booleans() | st.integers(0, 1), "data_type": st.just("BOOLEAN")}),
    st.fixed_dictionaries(
        {"value": TEXT}, optional={"data_type": st.sampled_from(["CATEGORICAL", "TEXT", "CORRECTION"])}
    ),
)


def _body(kind: str, needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    required = {"kind": st.just(kind), "project_id": PROJECTS, "at": TIMES, **needed}
    return st.fixed_dictionaries(
        required, optional={k: v | st.none() for k, v in optional.items() if k not in required}
    )


_SCORE = _body("score", {"score_id": IDS, "name": IDS}, {**COMMON, "comment": TEXT, "evaluator": TEXT})
BODIES = st.one_of(
    _body("trace", {"trace_id": IDS}, {**COMMON, **BOTH}),
    _body("observation", {"observation_id": IDS}, {**COMMON, **BOTH, **OBSERVATION}),
    st.builds(lambda score, subject, value: {**score, **subject, **value}, _SCORE, SUBJECTS, VALUES),
)
EVENTS = BODIES.map(orjson.dumps).map(parse_canonical_json)


@given(EVENTS)
def test_json_and_avro_round_trips_give_the_same_event(event: Event) -> None:
    assert parse_canonical_json(to_canonical_json(event)) == event
    assert decode(encode(event)) == event
    assert parse_canonical_json(to_canonical_json(decode(encode(event)))) == event


@given(EVENTS)
def test_the_fast_reader_reads_what_fastavro_reads(event: Event) -> None:
    raw = encode(event)
    version = load_versions(schema_folder())[0][event.kind]
    general: Any = fastavro.schemaless_reader(io.BytesIO(raw[HEADER_LENGTH:]), version.schema, None)
    assert version.read(raw, HEADER_LENGTH) == ({k: v for k, v in general.items() if v is not None}, len(raw))


def _record(value: bytes, content_type: bytes) -> Record:
    pairs = ((headers.CONTENT_TYPE, content_type), (headers.PROJECT, b"p"))
    return Record("t", 0, 0, Micros(0), b"p/t", value, pairs)


def _only_decode_error(value: bytes) -> None:
    for content_type in (b"", headers.CANONICAL_AVRO, headers.CANONICAL_JSON, headers.LANGFUSE_JSON):
        try:
            decode_record(_record(value, content_type), 10_000)
        except DecodeError as error:
            assert error.detail


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_decode_errors(value: bytes) -> None:
    _only_decode_error(value)


@given(st.sampled_from(range(1, 4)), st.binary(max_size=200))
def test_random_bytes_in_confluents_frame_raise_nothing_but_decode_errors(schema_id: int, body: bytes) -> None:
    texts = [(schema_folder() / f"{name}.avsc").read_text() for name in NAMES]
    codec = Confluent(lambda number: Registered("AVRO", texts[number - 1]))
    try:
        codec.decode(b"\x00" + schema_id.to_bytes(4, "big") + body)
    except DecodeError as error:
        assert error.detail


@given(st.sampled_from(list(Kind)), st.binary(max_size=200))
def test_random_bytes_behind_a_known_fingerprint_raise_nothing_but_decode_errors(kind: Kind, body: bytes) -> None:
    _only_decode_error(load_versions(schema_folder())[0][kind].header + body)


@given(EVENTS, st.data())
def test_a_damaged_record_raises_nothing_but_decode_errors(event: Event, data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from([encode, to_canonical_json]))
    raw = bytearray(encoding(event))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _only_decode_error(bytes(raw))


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.just(10**400) | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)


SCHEMAS = {
    name.partition("Event")[0].lower(): Draft202012Validator(orjson.loads(schema))
    for name, schema in json_schemas().items()
}


@given(BODIES, st.data())
def test_what_the_decoder_accepts_fits_its_json_schema(body: dict[str, Any], data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        body = {**body, data.draw(st.sampled_from(sorted({*body, *COMMON, *BOTH, *OBSERVATION}))): data.draw(WILD)}
    try:
        parse_canonical_json(json.dumps(body).encode())
    except DecodeError:
        return
    SCHEMAS[body["kind"]].validate(body)


@given(BODIES, st.data())
def test_any_json_in_any_field_raises_nothing_but_decode_errors(body: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted({*body, *COMMON, *BOTH, *OBSERVATION, "value", "data_type"})))
    _only_decode_error(json.dumps({**body, name: data.draw(WILD)}).encode())


@settings(max_examples=300)
@given(st.text(max_size=5) | st.integers(799, 802).map("x".__mul__))
def test_ids_are_refused_exactly_where_check_id_refuses_them(given_id: str) -> None:
    try:
        expected = check_id(given_id) == given_id and is_trace(given_id)
        given_id.encode()
    except (ValueError, UnicodeEncodeError):
        expected = False
    raw = json.dumps({"kind": "trace", "project_id": "p", "trace_id": given_id, "at": 0}).encode()
    try:
        accepted = parse_canonical_json(raw).trace_id == given_id
    except DecodeError:
        accepted = False
    assert accepted is expected
