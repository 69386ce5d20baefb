"""The Avro schemas of canonical events: `schemas/*.avsc` now, `schemas/history/*.avsc` as they once were.

Rule: a schema is known by the CRC-64-AVRO fingerprint of its Parsing Canonical Form, which leads each record.
A schema that changes is first copied to history/, so that records written with it stay readable.
Times are timestamp-micros, which Avro libraries turn into datetimes. Here they are read as the plain longs that they
are: exact and several times faster. Fingerprints do not see the difference, the canonical form has no logical types.
Failure: a missing folder or a broken schema is a broken installation and raises at import.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import fastavro
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from pipeline.events.avro_reader import Read, record_reader
from pipeline.events.model import Kind

Schema = dict[str, Any]  # as fastavro has parsed it

NAMES = {"TraceEvent": Kind.TRACE, "ObservationEvent": Kind.OBSERVATION, "ScoreEvent": Kind.SCORE}
TIMES = frozenset({"at", "start_time", "end_time", "completion_start_time"})
MAGIC = b"\xc3\x01"
HEADER_LENGTH = 10  # the magic, then 8 bytes of fingerprint


class Version(NamedTuple):
    """One version of the schema of one kind of event, and what reads the records that were written with it."""

    kind: Kind
    header: bytes
    schema: Schema
    read: Read


def schema_folder() -> Path:
    """Where the schemas are: inside an installed package, else at the top of the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def version_of(text: str) -> Version:
    """A schema that somebody else wrote records with, by its JSON text. Raises ValueError for what is none of ours.

    Its name says the kind, whatever its namespace; fields that we do not know are skipped, those that are missing are
    null. Times must be what they are here, or the same number would mean another moment.
    """
    try:
        given = json.loads(text)
        name = str(given["name"]).rpartition(".")[2]
        _check_times(given["fields"])
        ours = _read(schema_folder() / f"{name}.avsc") if name in NAMES else None
        schema = _parsed({**given, "name": name, "namespace": "spanfold.events"})
    except (KeyError, TypeError, AttributeError, RecursionError, SchemaParseException, UnknownType) as error:
        raise ValueError(f"no Avro schema of a record: {error!r}") from None
    if ours is None:
        raise ValueError(f"the schema is called {name}, none of {', '.join(NAMES)}")
    return Version(NAMES[name], b"", schema, _past_reader(schema, ours))


def _check_times(fields: list[dict[str, Any]]) -> None:
    for field in fields:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for kind in kinds:
            logical = kind.get("logicalType", "timestamp-micros") if isinstance(kind, dict) else "timestamp-micros"
            if field["name"] in TIMES and logical != "timestamp-micros":
                raise ValueError(f"{field['name']} is {logical}, times are timestamp-micros")


def load_versions(folder: Path) -> tuple[dict[Kind, Version], dict[bytes, Version]]:
    """(the current version by kind, every version by its 10 header bytes)."""
    current = {}
    for name, kind in NAMES.items():
        schema = _read(folder / f"{name}.avsc")
        current[kind] = Version(kind, _header(schema), schema, record_reader(schema))
    past = []
    for path in sorted((folder / "history").glob("*.avsc")):
        schema = _read(path)
        kind = NAMES[schema["name"].rpartition(".")[2]]
        past.append(Version(kind, _header(schema), schema, _past_reader(schema, current[kind].schema)))
    return current, {version.header: version for version in (*past, *current.values())}


def _past_reader(writer: Schema, reader: Schema) -> Read:
    """What is read with a flat schema needs no resolving: unknown fields are ignored later, missing ones are null."""
    try:
        return record_reader(writer)
    except ValueError:
        return _resolving_reader(writer, reader)


def _resolving_reader(writer: Schema, reader: Schema) -> Read:
    """Reads what a schema with nested fields wrote as the current one sees it; rare, so a general library may."""

    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        buffer = BytesIO(raw)
        buffer.seek(at)
        record = cast(dict[str, Any], fastavro.schemaless_reader(buffer, writer, reader))
        return {name: value for name, value in record.items() if value is not None}, buffer.tell()

    return read


def _read(path: Path) -> Schema:
    return _parsed(json.loads(path.read_text("utf-8")))


def _parsed(schema: Any) -> Schema:
    return cast(Schema, fastavro.parse_schema(_without_logical_types(schema), _write_hint=False))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(item) for item in schema]
    return schema


def _header(schema: Schema) -> bytes:
    return MAGIC + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
