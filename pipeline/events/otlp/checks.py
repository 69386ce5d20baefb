"""What every span must have, in both encodings: ids of the right length and a time. The messages name the field."""

import re

from pipeline.events.model import Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.values import MAX_MICROS

_NANOS_PER_MICRO = 1_000
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_HINT = "; logs and metrics have routes of their own"  # the protobuf of logs looks like spans without ids


def invalid(detail: str) -> DecodeError:
    """The span breaks a rule."""
    return DecodeError(Reason.INVALID, detail)


def trace_id(raw: bytes) -> str:
    """16 bytes, not all zero, as hex. Raises DecodeError."""
    return _id("traceId", raw, _TRACE_BYTES)


def span_id(raw: bytes) -> str:
    """8 bytes, not all zero, as hex. Raises DecodeError."""
    return _id("spanId", raw, _SPAN_BYTES)


def parent_id(raw: bytes) -> str:
    """As `span_id`; empty and all zero mean that there is no parent. Raises DecodeError."""
    return _id("parentSpanId", raw, _SPAN_BYTES) if any(raw) else ""


def id_bytes(field: str, text: str) -> bytes:
    """The bytes of an id that is written in hex. Raises DecodeError."""
    if not _HEX.fullmatch(text):
        raise invalid(f"{field}: hex digits are required")
    return bytes.fromhex(text)


def micros(nanos: int, field: str) -> Micros | None:
    """Nanoseconds to microseconds, cut; 0 means that the time was not said. Raises DecodeError past the year 2200."""
    if not nanos:
        return None
    cut = nanos // _NANOS_PER_MICRO
    if not 0 <= cut < MAX_MICROS:
        raise invalid(f"{field}: a time is nanoseconds in the years 1970 to 2200")
    return Micros(cut)


def some_time(start: Micros | None, end: Micros | None) -> None:
    """Raises DecodeError for a span without any time: nothing could order what it says."""
    if start is None and end is None:
        raise invalid("startTimeUnixNano: a span has a start or an end")


def _id(field: str, raw: bytes, length: int) -> str:
    if len(raw) == length and any(raw):
        return raw.hex()
    if not raw:
        raise invalid(f"{field}: required{_HINT}")
    if len(raw) != length:
        raise invalid(f"{field}: {2 * length} hex digits are required")
    raise invalid(f"{field}: must not be all zero")
