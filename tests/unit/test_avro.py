"""Avro single-object encoding: fingerprints, exactness, old schemas, and bytes made to do harm."""

import io
import json
import re
import shutil
import struct
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from pipeline.events import avro
from pipeline.events.avro import decode, encode
from pipeline.events.avro_reader import record_reader
from pipeline.events.avro_schemas import NAMES, Version, load_versions, schema_folder
from pipeline.events.canonical import parse_canonical_json, to_canonical_json
from pipeline.events.model import Event, Kind, Micros
from pipeline.events.reasons import DecodeError, Reason

OBSERVATION = Event(
    "p",
    "t",
    Kind.OBSERVATION,
    "o",
    "e",
    Micros(1_772_600_767_000_007),
    {
        "type": "GENERATION",
        "name": "answer ☃",
        "start_time": Micros(1),
        "end_time": Micros(7_289_654_399_999_999),
        "input": '{"not": "touched" }',
        "metadata": {"a": {"b": [1, None, "x"]}},
        "model_parameters": '{"temperature":0.2}',
        "usage": {"input": 2**62, "output": 0},
        "cost": {"input": Decimal("0.000000000001"), "total": Decimal("0.1")},
        "tags": ["b", "a"],
        "public": False,
        "prompt_version": 3,
    },
    created=False,
)
SCORE = Event(
    "p",
    "session:x",
    Kind.SCORE,
    "s",
    "e",
    Micros(5),
    {"session_id": "x", "name": "n", "data_type": "NUMERIC", "value": 0.1, "string_value": "", "source": "EVAL"},
)
TRACE = Event("p", "t", Kind.TRACE, "t", "e", Micros(5), {"name": "", "tags": []})


def varint(number: int) -> bytes:
    """A long as Avro writes it."""
    number, out = (number << 1) ^ (number >> 63), b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def rabin(canonical_form: bytes) -> int:
    """The fingerprint as the Avro specification's own code computes it."""
    empty = 0xC15D213AA4D7A795
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = (value >> 1) ^ (empty & -(value & 1))
        table.append(value)
    fingerprint = empty
    for byte in canonical_form:
        fingerprint = (fingerprint >> 8) ^ table[(fingerprint ^ byte) & 0xFF]
    return fingerprint


def refusal(raw: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(raw)
    return caught.value


@pytest.mark.parametrize("event", [OBSERVATION, SCORE, TRACE], ids=lambda event: event.kind)
def test_what_is_encoded_is_decoded_to_the_same_event(event: Event) -> None:
    assert decode(encode(event)) == event


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_the_little_endian_fingerprint_of_the_canonical_form(name: str) -> None:
    schema = json.loads((schema_folder() / f"{name}.avsc").read_text())
    form = fastavro.schema.to_parsing_canonical_form(schema)
    assert "logicalType" not in form
    current, by_header = load_versions(schema_folder())
    version = current[NAMES[name]]
    assert version.header == b"\xc3\x01" + struct.pack("<Q", rabin(form.encode()))
    assert by_header[version.header] is version


def test_the_specifications_example_of_a_fingerprint() -> None:
    assert rabin(b'"null"') == 0x63DD24E7CC258F8A


@pytest.mark.parametrize("name", NAMES)
def test_a_producer_that_knows_only_the_schema_file_writes_what_is_read(name: str) -> None:
    """With datetimes for the logical type, as every Avro library gives and takes them."""
    schema = fastavro.schema.load_schema(str(schema_folder() / f"{name}.avsc"))
    record: dict[str, Any] = {"project_id": "p", "trace_id": "t", "observation_id": "o", "score_id": "s"}
    record |= {"name": "n", "value": 1.0, "at": datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)}
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, record)
    event = decode(load_versions(schema_folder())[0][NAMES[name]].header + body.getvalue())
    assert (event.kind, event.trace_id, event.at, event.fields["name"]) == (
        NAMES[name],
        "t",
        1_772_600_767_000_008,
        "n",
    )


def test_an_unknown_fingerprint_is_named_in_hex() -> None:
    error = refusal(b"\xc3\x01" + bytes(range(8)) + b"body")
    assert error.reason is Reason.UNKNOWN_SCHEMA
    assert "0001020304050607" in error.detail


@pytest.mark.parametrize("raw", [b"", b"\xc3", b"\xc3\x01", b"\xc3\x01\x00", b"{}", b"\x00" * 20])
def test_what_has_no_header_is_malformed(raw: bytes) -> None:
    assert refusal(raw).reason is Reason.MALFORMED


def test_every_cut_through_a_record_is_malformed() -> None:
    raw = encode(OBSERVATION)
    for length in range(10, len(raw)):
        assert refusal(raw[:length]).reason is Reason.MALFORMED


def test_bytes_after_the_record_are_malformed() -> None:
    assert "1 bytes after the end" in refusal(encode(TRACE) + b"\x00").detail


def test_metadata_that_is_no_json_is_invalid() -> None:
    body = io.BytesIO()
    record = {"project_id": "p", "trace_id": "t", "at": 1, "metadata": "{"}
    version = load_versions(schema_folder())[0][Kind.TRACE]
    fastavro.schemaless_writer(body, version.schema, record)
    error = refusal(version.header + body.getvalue())
    assert error.reason is Reason.INVALID
    assert error.detail.startswith("metadata: ")


def test_avro_and_json_refuse_the_same_field_with_the_same_words() -> None:
    bad = OBSERVATION._replace(fields={"level": "FATAL"})  # type: ignore[typeddict-item]  # the wrong level is the point
    with pytest.raises(DecodeError) as from_json:
        parse_canonical_json(to_canonical_json(bad))
    assert refusal(encode(bad)).detail == from_json.value.detail


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(varint(2**62) + b"x", id="a text of 4 EiB"),
        pytest.param(varint(2**31) + b"x", id="a text of 2 GiB"),
        pytest.param(varint(-1) + b"x" * 50, id="a text of minus one byte"),
        pytest.param(b"\xff" * 200, id="a length without an end"),
        pytest.param(b"\xff" * 9 + b"\x7f" + b"x", id="a length of more than 64 bits"),
    ],
)
def test_a_declared_length_allocates_nothing(body: bytes) -> None:
    raw = load_versions(schema_folder())[0][Kind.TRACE].header + body
    tracemalloc.start()
    try:
        assert refusal(raw).reason is Reason.MALFORMED
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ['{"type": "array", "items": "string"}', '{"type": "map", "values": "long"}'])
@pytest.mark.parametrize("count", [2**62, -(2**62), -(2**63)])
def test_a_declared_count_stops_at_the_end_of_the_bytes(kind: str, count: int) -> None:
    read = record_reader({"fields": [{"name": "many", "type": json.loads(kind)}]})
    with pytest.raises((IndexError, ValueError)):
        read(varint(count) + varint(1) + b"x" * 100, 0)


@pytest.mark.parametrize("kind", ["bytes", "float", {"type": "enum"}, ["string", "null"], {"type": "record"}])
def test_a_schema_that_is_not_flat_is_refused_when_loaded(kind: object) -> None:
    with pytest.raises(ValueError, match=r"flat|optional"):
        record_reader({"fields": [{"name": "x", "type": kind}]})


def test_numbers_of_every_length_are_read_as_fastavro_writes_them() -> None:
    schema = {"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}
    read = record_reader(schema)
    for number in (sign * (1 << bits) + step for bits in range(63) for sign in (1, -1) for step in (-1, 0, 1)):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, {"n": number})
        assert read(body.getvalue(), 0) == ({"n": number}, len(body.getvalue()))


def test_lists_in_several_blocks_and_with_sizes_are_read() -> None:
    read = record_reader({"fields": [{"name": "l", "type": {"type": "array", "items": "string"}}]})
    blocks = varint(1) + varint(1) + b"a" + varint(-2) + varint(4) + varint(1) + b"b" + varint(1) + b"c" + varint(0)
    assert read(blocks, 0) == ({"l": ["a", "b", "c"]}, len(blocks))


@pytest.fixture
def old_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A past version of TraceEvent: no tags, and a field that is gone since."""
    folder = tmp_path / "schemas"
    shutil.copytree(schema_folder(), folder, dirs_exist_ok=True)
    schema = json.loads((folder / "TraceEvent.avsc").read_text())
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "tags"]
    schema["fields"].insert(0, {"name": "colour", "type": "string"})
    (folder / "history").mkdir(exist_ok=True)
    (folder / "history" / "TraceEvent-1.avsc").write_text(json.dumps(schema))
    current, versions = load_versions(folder)
    monkeypatch.setattr(avro, "_VERSIONS", versions)
    return next(v for v in versions.values() if v.kind is Kind.TRACE and v is not current[Kind.TRACE])


def test_a_record_of_an_older_schema_is_read_as_the_current_one_sees_it(old_trace: Version) -> None:
    body = io.BytesIO()
    record = {"colour": "blue", "project_id": "p", "trace_id": "t", "event_id": "e", "at": 5, "name": "old"}
    fastavro.schemaless_writer(body, old_trace.schema, record)
    raw = old_trace.header + body.getvalue()
    assert decode(raw) == Event("p", "t", Kind.TRACE, "t", "e", Micros(5), {"name": "old"})
    assert refusal(raw[:-1]).reason is Reason.MALFORMED
    assert refusal(raw + b"\x00").reason is Reason.MALFORMED


def test_the_installed_schemas_are_preferred_to_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "pipeline" / "events" / "avro_schemas.py"
    monkeypatch.setattr("pipeline.events.avro_schemas.__file__", str(module))
    assert schema_folder() == tmp_path / "schemas"
    (tmp_path / "pipeline" / "_schemas").mkdir(parents=True)
    assert schema_folder() == tmp_path / "pipeline" / "_schemas"


def test_the_readme_names_the_fingerprints_that_producers_write() -> None:
    readme = (schema_folder() / "README.md").read_text()
    published = dict(re.findall(r"\[(\w+)\.avsc\].*`([0-9a-f]{16})`", readme))
    assert published == {
        name: load_versions(schema_folder())[0][kind].header[2:].hex() for name, kind in NAMES.items()
    }, "a schema has changed: move the old one to history/ and publish the new fingerprint"


def test_the_readmes_json_example_is_an_event() -> None:
    readme = (schema_folder() / "README.md").read_text()
    example = readme.partition("```json\n")[2].partition("```")[0]
    assert parse_canonical_json(example.encode()).fields["usage"] == {"input": 812, "output": 96}
