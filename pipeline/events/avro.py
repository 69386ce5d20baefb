"""Canonical events in Avro's single-object encoding: 0xC3 0x01, 8 bytes of schema fingerprint, the record.

Rule: a record is read with the schema that its fingerprint names and resolved to the current one; from there it takes
the way of canonical JSON, so both obey the same rules. JSON values travel as text, money as decimal text, times as
microseconds: nothing is rounded on the way.
Failure: DecodeError, UNKNOWN_SCHEMA with the fingerprint in hex, MALFORMED for bytes that are not such a record to the
last byte, INVALID for a field that breaks a rule. A declared length is checked against the bytes that are there before
anything is allocated.
Format: Avro 1.11 specification, "Single-object encoding".
"""

from io import BytesIO
from typing import Any

import fastavro
import orjson
from pydantic_core import from_json

from pipeline.events.avro_schemas import HEADER_LENGTH, MAGIC, Version, load_versions, schema_folder
from pipeline.events.canonical import canonical_event, to_body
from pipeline.events.model import Event
from pipeline.events.reasons import DecodeError, Reason

_CURRENT, _VERSIONS = load_versions(schema_folder())

# What both readers raise on bytes that are no such record: ours, and fastavro's for old schemas.
_NOT_A_RECORD = (EOFError, IndexError, ValueError, OverflowError)


def encode(event: Event) -> bytes:
    """The event in the current schema of its kind."""
    version = _CURRENT[event.kind]
    body = to_body(event)
    if "metadata" in body:
        body["metadata"] = orjson.dumps(body["metadata"]).decode()
    if "cost" in body:
        body["cost"] = {unit: str(usd) for unit, usd in body["cost"].items()}
    buffer = BytesIO()
    buffer.write(version.header)
    fastavro.schemaless_writer(buffer, version.schema, body)
    return buffer.getvalue()


def decode(raw: bytes) -> Event:
    """The event in `raw`. Raises DecodeError."""
    header = raw[:HEADER_LENGTH]
    version = _VERSIONS.get(header)
    if version is None:
        raise _unknown(header)
    return decode_body(version, raw, HEADER_LENGTH)


def decode_body(version: Version, raw: bytes, at: int) -> Event:
    """The event in a record that begins at `at` and was written with the schema of `version`. Raises DecodeError."""
    try:
        body, end = version.read(raw, at)
    except _NOT_A_RECORD as error:
        raise DecodeError(Reason.MALFORMED, f"avro: no {version.kind} record: {error or 'it ends too early'}") from None
    if end != len(raw):
        raise DecodeError(Reason.MALFORMED, f"avro: {len(raw) - end} bytes after the end of the record")
    body["kind"] = version.kind.value
    if "metadata" in body:
        body["metadata"] = _metadata(body["metadata"])
    return canonical_event(body, raw)


def _metadata(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise DecodeError(Reason.INVALID, f"metadata: no JSON text: {error}") from None


def _unknown(header: bytes) -> DecodeError:
    if header[:2] != MAGIC or len(header) < HEADER_LENGTH:
        return DecodeError(Reason.MALFORMED, "avro: a record begins with C3 01 and 8 bytes of schema fingerprint")
    return DecodeError(Reason.UNKNOWN_SCHEMA, f"avro: no schema in schemas/ has fingerprint {header[2:].hex()}")
