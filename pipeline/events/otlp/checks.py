"""What every span must have, in both encodings: ids of the right length and a time. The messages name the field."""

from pipeline.events.model import Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.values import MAX_MICROS

_NANOS_PER_MICRO = 1_000
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_HINT = "; logs and metrics have routes of their own"  # the protobuf of logs looks like spans without ids


def invalid(detail: str) -> DecodeError:
    """The span breaks a rule."""
    return DecodeError(Reason.INVALID, detail)


def trace_id(hexadecimal: str) -> str:
    """32 hex digits, not all zero. Raises DecodeError."""
    return _id("traceId", hexadecimal, _TRACE_DIGITS)


def span_id(hexadecimal: str) -> str:
    """16 hex digits, not all zero. Raises DecodeError."""
    return _id("spanId", hexadecimal, _SPAN_DIGITS)


def parent_id(hexadecimal: str) -> str:
    """As `span_id`; empty and all zero mean that there is no parent. Raises DecodeError."""
    return _id("parentSpanId", hexadecimal, _SPAN_DIGITS) if hexadecimal.strip("0") else ""


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


def _id(field: str, text: str, digits: int) -> str:
    if not text:
        raise invalid(f"{field}: required{_HINT}")
    if len(text) != digits or not _is_hex(text):
        raise invalid(f"{field}: {digits} hex digits are required")
    if not text.strip("0"):
        raise invalid(f"{field}: must not be all zero")
    return text.lower()


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return not any(character.isspace() for character in text)
