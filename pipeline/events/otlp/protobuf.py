"""OTLP in protobuf: an export cut into spans without decoding them, and spans read from their bytes.

Rule: a record on Kafka is an export of one span again. Everything of the original that is not another span is in it,
byte for byte and with fields that this version does not know: resource, scope, schema URLs. Equal spans make equal
bytes, whatever else was exported with them, so a span that is exported twice is found to be the same event.
Failure: DecodeError, MALFORMED where bytes are no protobuf or no UTF-8 (protobuf's strings are), INVALID by `checks`.
Format: opentelemetry-proto, trace/v1/trace.proto; numbers of fields below.
"""

import base64
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import xxhash
from google.protobuf.message import DecodeError as ProtobufError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from pipeline.events.otlp import checks, wire
from pipeline.events.otlp.span import Attributes, Link, Scope, Span, SpanEvent
from pipeline.events.reasons import DecodeError, Reason

RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2  # of the export, of ResourceSpans, of ScopeSpans
CACHED_BYTES = 8_192  # of a resource or scope; clients choose them, what is remembered has a bound
CACHE_SIZES = 1_024, 4  # how many are remembered that are no longer than that, and that are

digest = lru_cache(64)(xxhash.xxh3_128_digest)
"""16 bytes for a resource or a scope, which spans share."""


class Piece(NamedTuple):
    """One span of an export, and what surrounds it: fields of the export, of its resource and of its scope."""

    around: bytes
    resource: bytes
    scope: bytes
    span: bytes

    def record(self) -> bytes:
        """The export of this span alone."""
        scope_spans = self.scope + wire.message_field(SPANS, self.span)
        resource_spans = self.resource + wire.message_field(SCOPE_SPANS, scope_spans)
        return self.around + wire.message_field(RESOURCE_SPANS, resource_spans)

    def read(self) -> Span:
        """The span. Raises DecodeError."""
        try:
            resource, scope = _resource(self.resource), _scope(self.scope)
            message = trace_pb2.Span.FromString(self.span)
        except ProtobufError as error:
            raise _malformed(error) from None
        return _span(message, resource, scope, self.content())

    def content(self) -> str:
        """A hash of all that the span says."""
        return xxhash.xxh3_128_hexdigest(digest(self.resource) + digest(self.scope) + self.span)


def split(body: bytes) -> list[Piece]:
    """The spans of an ExportTraceServiceRequest. Raises DecodeError (MALFORMED) where it is none."""
    try:
        around, exports = _divide(body, 0, len(body), RESOURCE_SPANS)
        return [piece for begin, end in exports for piece in _of_resource(body, begin, end, around)]
    except ValueError as error:
        raise _malformed(error) from None


def _of_resource(body: bytes, begin: int, end: int, around: bytes) -> Iterator[Piece]:
    resource, scopes = _divide(body, begin, end, SCOPE_SPANS)
    for scope_begin, scope_end in scopes:
        scope, spans = _divide(body, scope_begin, scope_end, SPANS)
        for span_begin, span_end in spans:
            yield Piece(around, resource, scope, body[span_begin:span_end])


def _divide(raw: bytes, begin: int, end: int, number: int) -> tuple[bytes, list[tuple[int, int]]]:
    """(all fields but those of one number, joined; where the values of that number are)."""
    rest: list[bytes] = []
    values: list[tuple[int, int]] = []
    for field in wire.fields(raw, begin, end):
        if field.number == number and field.wire == wire.LENGTH_DELIMITED:
            values.append((field.value, field.end))
        else:
            rest.append(raw[field.begin : field.end])
    return b"".join(rest), values


def _resource(raw: bytes) -> Attributes:
    return (_small_resource if len(raw) <= CACHED_BYTES else _large_resource)(raw)


def _scope(raw: bytes) -> Scope:
    return (_small_scope if len(raw) <= CACHED_BYTES else _large_scope)(raw)


def _read_resource(raw: bytes) -> Attributes:
    return attributes(trace_pb2.ResourceSpans.FromString(raw).resource.attributes)


def _read_scope(raw: bytes) -> Scope:
    scope = trace_pb2.ScopeSpans.FromString(raw).scope
    return Scope(scope.name, scope.version, attributes(scope.attributes))


_small_resource, _large_resource = (lru_cache(size)(_read_resource) for size in CACHE_SIZES)
_small_scope, _large_scope = (lru_cache(size)(_read_scope) for size in CACHE_SIZES)


def _span(message: trace_pb2.Span, resource: Attributes, scope: Scope, content: str) -> Span:
    trace_id, span_id = checks.trace_id(message.trace_id), checks.span_id(message.span_id)
    start = checks.micros(message.start_time_unix_nano, "startTimeUnixNano")
    end = checks.micros(message.end_time_unix_nano, "endTimeUnixNano")
    checks.some_time(start, end)
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=checks.parent_id(message.parent_span_id),
        name=message.name,
        kind=message.kind,
        start=start,
        end=end,
        attributes=attributes(message.attributes),
        events=tuple(_event(event) for event in message.events) if message.events else (),
        links=tuple(_link(link) for link in message.links) if message.links else (),
        status=message.status.code,
        status_message=message.status.message,
        resource=resource,
        scope=scope,
        content=content,
    )


def _event(event: trace_pb2.Span.Event) -> SpanEvent:
    return SpanEvent(event.name, checks.micros(event.time_unix_nano, "event time"), attributes(event.attributes))


def _link(link: trace_pb2.Span.Link) -> Link:
    return Link(link.trace_id.hex(), link.span_id.hex(), attributes(link.attributes))


def attributes(pairs: Iterable[KeyValue]) -> Attributes:
    """Key-value pairs as a dict; of a key that comes twice, which OTLP forbids, the last counts."""
    found: Attributes = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        found[pair.key] = value.string_value if kind == "string_value" else _value(value, kind)
    return found


def _value(value: AnyValue, kind: str | None) -> Any:
    """The depth is bounded by protobuf itself, which refuses messages nested deeper than 100."""
    if kind == "array_value":
        return [_value(item, item.WhichOneof("value")) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    if kind == "double_value":
        return finite(value.double_value)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind else None


def finite(number: float) -> float | str:
    """A number that JSON can write, or the name of one that it cannot."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _malformed(error: Exception) -> DecodeError:
    return DecodeError(Reason.MALFORMED, f"OTLP: no protobuf of an export: {error}")
