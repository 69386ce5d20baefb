"""Confluent's framing: 0x00, the schema's id in a registry as 4 bytes big-endian, then the record.

Rule: the id names the schema that the writer used, so an old and a new writer stand side by side; records are read as
the current schema of schemas/ sees them. A schema of type AVRO is read as Avro, one of type JSON as canonical JSON.
What a registry has once said of an id stays true and is kept; a "no" is believed for 30 s and a silence for 5 s, so
that a registry that is away is not asked for every record.
Failure: DecodeError, UNKNOWN_SCHEMA, SCHEMA_UNAVAILABLE where the registry does not answer (replay these), else as
avro.py and canonical.py say. Configured by SPANFOLD_SCHEMA_REGISTRY, through `use_registry`.
Format: Confluent, "Schema Registry serializers: wire format".
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from pipeline.events.avro import decode_body
from pipeline.events.avro_schemas import Version, version_of
from pipeline.events.canonical import parse_canonical_json
from pipeline.events.model import Event
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.schema_sources import Registered, RegistryUnavailableError, Source, open_source

MAGIC = b"\x00"
HEADER_LENGTH = 5
BELIEVE_UNKNOWN = 30.0  # seconds
BELIEVE_SILENCE = 5.0
_MOST_FAILURES = 1_000  # ids come from records: what is remembered of wrong ones has a bound


class _Failure(NamedTuple):
    until: float
    reason: Reason
    detail: str


class Confluent:
    """Decodes with the schemas of one registry; None stands for JSON."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._versions: dict[int, Version | None] = {}
        self._failures: dict[int, _Failure] = {}

    def decode(self, raw: bytes) -> Event:
        """The event in `raw`. Raises DecodeError."""
        if len(raw) < HEADER_LENGTH:
            raise DecodeError(Reason.MALFORMED, "a record begins with 00 and 4 bytes of schema id")
        schema_id = int.from_bytes(raw[1:HEADER_LENGTH], "big")
        version = self._versions[schema_id] if schema_id in self._versions else self._look_up(schema_id)
        return decode_body(version, raw, HEADER_LENGTH) if version else parse_canonical_json(raw[HEADER_LENGTH:])

    def _look_up(self, schema_id: int) -> Version | None:
        failure = self._failures.get(schema_id)
        if failure is None or failure.until <= self._clock():
            try:
                version = self._versions[schema_id] = _version(self._source(schema_id))
            except LookupError:
                failure = self._failed(schema_id, BELIEVE_UNKNOWN, Reason.UNKNOWN_SCHEMA, "is not in the registry")
            except ValueError as error:
                failure = self._failed(schema_id, BELIEVE_UNKNOWN, Reason.UNKNOWN_SCHEMA, str(error))
            except RegistryUnavailableError as error:
                failure = self._failed(schema_id, BELIEVE_SILENCE, Reason.SCHEMA_UNAVAILABLE, str(error))
            else:
                self._failures.pop(schema_id, None)
                return version
        raise DecodeError(failure.reason, failure.detail)

    def _failed(self, schema_id: int, believe: float, reason: Reason, detail: str) -> _Failure:
        if len(self._failures) >= _MOST_FAILURES:
            self._failures.clear()
        failure = _Failure(self._clock() + believe, reason, f"schema {schema_id}: {detail}")
        self._failures[schema_id] = failure
        return failure


def _version(registered: Registered) -> Version | None:
    if registered.type == "JSON":
        return None
    if registered.type != "AVRO":
        raise ValueError(f"schemas of type {registered.type} are not read here, use AVRO or JSON")
    return version_of(registered.text)


def _no_registry(_schema_id: int) -> Registered:
    raise ValueError("no schema registry is configured, set SPANFOLD_SCHEMA_REGISTRY")


_registry = Confluent(_no_registry)


def use_registry(location: str) -> None:
    """Read Confluent's framing with the registry at `location` from now on; empty for none. Raises SettingError."""
    global _registry
    _registry = Confluent(open_source(location) if location else _no_registry)


def decode(raw: bytes) -> Event:
    """The event in `raw`, by the registry in use. Raises DecodeError."""
    return _registry.decode(raw)
