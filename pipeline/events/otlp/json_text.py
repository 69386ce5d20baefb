"""OTLP in JSON: an export cut into spans as they are written, and spans read from their text.

Rule: as for protobuf, a record on Kafka is an export of one span, and members that this version does not know stay in
it. Names are lowerCamelCase and ids hex, as the protocol wants; enums are numbers or names, 64-bit numbers may be text.
Failure: DecodeError, MALFORMED where the text is no JSON of an export, INVALID with the member that breaks a rule.
Format: OTLP 1.x, "JSON Protobuf Encoding".
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec
import orjson
import xxhash

from pipeline.events.otlp import checks
from pipeline.events.otlp.protobuf import CACHE_SIZES, CACHED_BYTES, digest, finite
from pipeline.events.otlp.span import Attributes, Link, Scope, Span, SpanEvent
from pipeline.events.reasons import DecodeError, Reason

MAX_DEPTH = 50  # of an attribute's value; protobuf allows as much
_KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_CODES = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_LONGEST_NUMBER = 40
_NULL = b"null"

_Members = dict[str, msgspec.Raw]
_MEMBERS = msgspec.json.Decoder(_Members)
_LIST_OF_MEMBERS = msgspec.json.Decoder(list[_Members])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class Piece(NamedTuple):
    """One span of an export, and the other members of the objects around it."""

    around: bytes
    resource: bytes
    scope: bytes
    span: bytes

    def record(self) -> bytes:
        """The export of this span alone."""
        scope_spans = b'[{%s"spans":[%s]}]' % (self.scope, self.span)
        return b'{%s"resourceSpans":[{%s"scopeSpans":%s}]}' % (self.around, self.resource, scope_spans)

    def read(self) -> Span:
        """The span. Raises DecodeError."""
        return _span(_loads(self.span), _resource(self.resource), _scope(self.scope), self.content())

    def content(self) -> str:
        """A hash of all that the span says."""
        return xxhash.xxh3_128_hexdigest(digest(self.resource) + digest(self.scope) + self.span)


def split(body: bytes) -> list[Piece]:
    """The spans of an export. Raises DecodeError (MALFORMED) where it is none."""
    try:
        return _split(_MEMBERS.decode(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(Reason.MALFORMED, f"OTLP: no JSON of an export: {error}") from None


def _split(export: _Members) -> list[Piece]:
    pieces = []
    around = _without(export, "resourceSpans")
    for resource_spans in _objects(export, "resourceSpans"):
        resource = _without(resource_spans, "scopeSpans")
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            scope = _without(scope_spans, "spans")
            spans = scope_spans.get("spans")
            if spans is not None and bytes(spans) != _NULL:
                pieces += [Piece(around, resource, scope, bytes(span)) for span in _LIST.decode(spans)]
    return pieces


def _objects(members: _Members, name: str) -> list[_Members]:
    raw = members.get(name)
    return [] if raw is None or bytes(raw) == _NULL else _LIST_OF_MEMBERS.decode(raw)


def _without(members: _Members, name: str) -> bytes:
    """All members but one, as they were written, each with a comma behind it."""
    return b"".join(b"%s:%s," % (orjson.dumps(key), bytes(raw)) for key, raw in members.items() if key != name)


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise DecodeError(Reason.MALFORMED, f"OTLP: a part of the export is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise checks.invalid("span: an object is required")
    return value


def _resource(raw: bytes) -> Attributes:
    return (_small_resource if len(raw) <= CACHED_BYTES else _large_resource)(raw)


def _scope(raw: bytes) -> Scope:
    return (_small_scope if len(raw) <= CACHED_BYTES else _large_scope)(raw)


def _read_resource(members: bytes) -> Attributes:
    return _attributes(_object(_loads(b"{%s}" % members.removesuffix(b",")), "resource"))


def _read_scope(members: bytes) -> Scope:
    scope = _object(_loads(b"{%s}" % members.removesuffix(b",")), "scope")
    return Scope(_text(scope, "name"), _text(scope, "version"), _attributes(scope))


_small_resource, _large_resource = (lru_cache(size)(_read_resource) for size in CACHE_SIZES)
_small_scope, _large_scope = (lru_cache(size)(_read_scope) for size in CACHE_SIZES)


def _span(body: dict[str, Any], resource: Attributes, scope: Scope, content: str) -> Span:
    trace_id, span_id = checks.trace_id(_id(body, "traceId")), checks.span_id(_id(body, "spanId"))
    start = checks.micros(_integer(body, "startTimeUnixNano"), "startTimeUnixNano")
    end = checks.micros(_integer(body, "endTimeUnixNano"), "endTimeUnixNano")
    checks.some_time(start, end)
    status = _object(body, "status")
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=checks.parent_id(_id(body, "parentSpanId")),
        name=_text(body, "name"),
        kind=_enum(body, "kind", lambda name: _KINDS.get(name.removeprefix("SPAN_KIND_"), 0)),
        start=start,
        end=end,
        attributes=_attributes(body),
        events=tuple(_event(event) for event in _list(body, "events")),
        links=tuple(_link(link) for link in _list(body, "links")),
        status=_enum(status, "code", lambda name: _CODES.get(name, 0)),
        status_message=_text(status, "message"),
        resource=resource,
        scope=scope,
        content=content,
    )


def _event(event: Any) -> SpanEvent:
    if not isinstance(event, dict):
        raise checks.invalid("events: a list of objects is required")
    time = checks.micros(_integer(event, "timeUnixNano"), "events.timeUnixNano")
    return SpanEvent(_text(event, "name"), time, _attributes(event))


def _link(link: Any) -> Link:
    if not isinstance(link, dict):
        raise checks.invalid("links: a list of objects is required")
    return Link(_text(link, "traceId"), _text(link, "spanId"), _attributes(link))


def _attributes(body: dict[str, Any], name: str = "attributes", depth: int = 0) -> Attributes:
    found: Attributes = {}
    for pair in _list(body, name):
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise checks.invalid(f"{name}: a list of objects with a `key` is required")
        found[pair["key"]] = _any_value(pair.get("value"), depth)
    return found


def _any_value(value: Any, depth: int) -> Any:
    """An AnyValue: an object with one member that names its type; null and {} are no value."""
    if value is None or value == {}:
        return None
    if depth > MAX_DEPTH:
        raise checks.invalid(f"attributes: a value is nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise checks.invalid('attributes: a value is an object such as {"stringValue": "text"}')
    for name, item in value.items():
        if name in _PLAIN:
            return _PLAIN[name](item)
        if name == "arrayValue" and isinstance(item, dict):
            return [_any_value(one, depth + 1) for one in _list(item, "values")]
        if name == "kvlistValue" and isinstance(item, dict):
            return _attributes(item, "values", depth + 1)
    raise checks.invalid(f"attributes: no type of values is called {', '.join(value)[:40]}")


def _plain(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise checks.invalid(f"attributes: a {kinds[0].__name__} is required")
        return value

    return read


def _integer_value(value: Any) -> int | str:
    """64 bits as a number or as text; what does not fit stays text, digit by digit."""
    number = _whole(value)
    if number is None:
        raise checks.invalid("attributes: an intValue is a whole number, or a text of one")
    return number if -(2**63) <= number < 2**63 else str(number)


def _double_value(value: Any) -> float | str:
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return finite(float(value))
    except (ValueError, OverflowError):
        pass  # said below, for every value that is no number
    raise checks.invalid("attributes: a doubleValue is a number, or a text of one")


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "stringValue": _plain(str),
    "boolValue": _plain(bool),
    "intValue": _integer_value,
    "doubleValue": _double_value,
    "bytesValue": _plain(str),
}


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.removeprefix("-").isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _integer(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    number = 0 if value is None or value == "" else _whole(value)
    if number is None:
        raise checks.invalid(f"{name}: a whole number, or a text of one, is required")
    return number


def _enum(body: dict[str, Any], name: str, number_of: Callable[[str], int]) -> int:
    value = body.get(name) or 0
    if isinstance(value, str):
        return number_of(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise checks.invalid(f"{name}: a number or a name is required")
    return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise checks.invalid(f"{name}: a text is required")
    return value or ""


def _id(body: dict[str, Any], name: str) -> bytes:
    return checks.id_bytes(name, _text(body, name))


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, list):
        raise checks.invalid(f"{name}: a list is required")
    return value or []


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise checks.invalid(f"{name}: an object is required")
    return cast(dict[str, Any], value or {})
