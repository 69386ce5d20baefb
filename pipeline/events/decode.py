"""From a Kafka record to its events: the one entry for every wire format.

Rule: the checks that need no decoding come first (key, value, size), then the content type header picks the codec, or
where there is none that we know, the first bytes do. At last each event must belong to the record's key: the key chose
the partition, and a trace in two partitions would be folded by two workers.
Failure: DecodeError with the reason that the dead letter will carry.
Configured by: SPANFOLD_MAX_EVENT_BYTES, given as `max_bytes`.
A new format is one more codec in the tables below.
"""

from collections.abc import Callable

from pipeline.events import confluent, headers
from pipeline.events.avro import decode
from pipeline.events.avro_schemas import MAGIC
from pipeline.events.canonical import parse_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.langfuse_quick import quick_events
from pipeline.events.model import Event, Record
from pipeline.events.otlp.records import record_events
from pipeline.events.reasons import DecodeError, Reason

Codec = Callable[[bytes, Record], list[Event]]  # the value, and the record it came in


def decode_record(record: Record, max_bytes: int) -> list[Event]:
    """The events of a record; none for what clients send but nobody stores. Raises DecodeError."""
    key, value = record.key, record.value
    if not key:
        raise DecodeError(Reason.MISSING_KEY, "the key is PROJECT/TRACE; without it the partition is a matter of luck")
    if not value:
        raise DecodeError(Reason.EMPTY, "the record has no value")
    if len(value) > max_bytes:
        raise DecodeError(Reason.TOO_LARGE, f"{len(value)} bytes, {max_bytes} are allowed (SPANFOLD_MAX_EVENT_BYTES)")
    events = _codec(record, value)(value, record)
    for event in events:
        if record_key(event.project_id, event.trace_id) != key:
            raise _mismatch(key, event)
    return events


def _codec(record: Record, value: bytes) -> Codec:
    for name, content in record.headers:
        if name == headers.CONTENT_TYPE:
            codec = _BY_CONTENT_TYPE.get(content or b"")
            if codec is not None:
                return codec
            break
    for first, codec in _BY_FIRST_BYTES:
        if value.startswith(first):
            return codec
    raise DecodeError(Reason.UNKNOWN_FORMAT, f"no format begins with {value[:8].hex(' ')}; name it in `content-type`")


def _canonical_json(value: bytes, _record: Record) -> list[Event]:
    return [parse_canonical_json(value)]


def _canonical_avro(value: bytes, _record: Record) -> list[Event]:
    return [confluent.decode(value) if value.startswith(confluent.MAGIC) else decode(value)]


def _langfuse_json(value: bytes, record: Record) -> list[Event]:
    project = header(record, headers.PROJECT)
    if not project:
        raise DecodeError(Reason.NO_PROJECT, f"a Langfuse event needs its project in the header {headers.PROJECT}")
    project_id = project.decode(errors="replace")
    events = quick_events(project_id, value)
    return langfuse_events(project_id, parse_langfuse(value)) if events is None else events


def _otlp(content_type: bytes) -> Codec:
    """OTLP needs the project's header, or a key that begins with the project."""

    def codec(value: bytes, record: Record) -> list[Event]:
        project, slash, _ = (record.key or b"").partition(b"/")
        project = header(record, headers.PROJECT) or (project if slash else b"")
        if not project:
            raise DecodeError(Reason.NO_PROJECT, f"OTLP needs its project in the header {headers.PROJECT}")
        return record_events(project.decode(errors="replace"), content_type, value)

    return codec


def header(record: Record, name: str) -> bytes | None:
    """The first value of a header, None where the record has none of that name."""
    for key, value in record.headers:
        if key == name:
            return value
    return None


def _mismatch(key: bytes, event: Event) -> DecodeError:
    wanted = record_key(event.project_id, event.trace_id).decode()
    return DecodeError(Reason.KEY_MISMATCH, f"the key is {key.decode(errors='replace')}, its event needs {wanted}")


_BY_CONTENT_TYPE: dict[bytes, Codec] = {
    headers.LANGFUSE_JSON: _langfuse_json,
    headers.OTLP_PROTOBUF: _otlp(headers.OTLP_PROTOBUF),
    headers.OTLP_JSON: _otlp(headers.OTLP_JSON),
    headers.CANONICAL_JSON: _canonical_json,
    headers.CANONICAL_AVRO: _canonical_avro,
}
_BY_FIRST_BYTES: tuple[tuple[bytes, Codec], ...] = (
    (MAGIC, _canonical_avro),
    (b'{"resourceSpans":', _otlp(headers.OTLP_JSON)),
    (b"{", _canonical_json),
    (confluent.MAGIC, _canonical_avro),
    (b"\x0a", _otlp(headers.OTLP_PROTOBUF)),  # field 1, length-delimited: resource_spans
)
