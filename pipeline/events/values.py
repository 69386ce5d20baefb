"""The values that several wire formats share, as annotated types for pydantic and as the functions behind them.

Problem: every format writes times, ids, texts and money in its own way, and the fold knows one way only.
Rule: a type here takes whatever a format may hold (a JSON value, or the plain value that Avro gives) and yields the
canonical value of `pipeline.events.model`. None is not handled here: declare a field `X | None` and drop the nulls.
Failure: ValueError with one sentence, which pydantic turns into a ValidationError with the field's path.
The types are made for the hot path: strings and integers pass in pydantic's Rust code, only the rest calls Python.
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any

import orjson
from pydantic import Field, GetPydanticSchema, PlainValidator, WithJsonSchema
from pydantic_core import core_schema

from pipeline.events.keys import MAX_ID_LENGTH
from pipeline.events.model import Micros, Usd

MAX_MICROS = int(datetime(2201, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000  # first microsecond past the year 2200
MAX_USD = Decimal(1_000_000)  # one field of one event; what Decimal(18, 12) holds
MAX_NESTING = 200  # of metadata; below what orjson writes
USD_SCALE = Decimal("1e-12")  # the last digit that the store keeps

_TIME_RULE = "a time is ISO 8601 text, or whole microseconds, in the years 1970 to 2200"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")
_LONGEST_AMOUNT = 87  # what the pattern can match; nothing longer may enter the cache
_LARGEST_INTEGER = 2**64 - 1
_SMALLEST_INTEGER = -(2**63)


def to_micros(time: datetime) -> Micros:
    """Microseconds since the epoch; without an offset the time is UTC. Raises ValueError outside 1970 to 2200."""
    since = time - (_EPOCH if time.tzinfo else _NAIVE_EPOCH)  # only whole numbers: no digit is lost
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not 0 <= micros < MAX_MICROS:
        raise ValueError(_TIME_RULE)
    return Micros(micros)


def parse_time(value: object) -> Micros:
    """An ISO 8601 text or a datetime; integers in range never get here. Digits below the microsecond are cut off."""
    if isinstance(value, str):
        try:
            return to_micros(datetime.fromisoformat(value))
        except OverflowError:
            raise ValueError(_TIME_RULE) from None
    if isinstance(value, datetime):
        return to_micros(value)
    raise ValueError(_TIME_RULE)


def to_text(value: Any) -> str:
    """`input` and `output` as text: a string as its characters, any other JSON value as compact JSON."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a whole number beyond 64 bits, which orjson does not write
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_metadata(value: Any) -> dict[str, Any]:
    """A JSON object as it is, anything else as {"metadata": value}; what comes out is a dict that orjson can write."""
    metadata = value if isinstance(value, dict) else {"metadata": value}
    try:
        orjson.dumps(metadata)
    except TypeError:
        metadata = {key: _with_writable_numbers(item, 1) for key, item in metadata.items()}
    return metadata


def _with_writable_numbers(value: Any, depth: int) -> Any:
    """Whole numbers beyond 64 bits as text: no digit is lost and every JSON writer can take them.

    Raises ValueError for what is nested so deeply that merging and writing it would need a stack of its own.
    """
    if depth > MAX_NESTING:
        raise ValueError(f"metadata is nested deeper than {MAX_NESTING} levels")
    if isinstance(value, dict):
        return {key: _with_writable_numbers(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_writable_numbers(item, depth + 1) for item in value]
    if isinstance(value, int) and not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
        return str(value)
    return value


def to_usd(number: int | float | str | Decimal) -> Usd:
    """US dollars, exact from the decimal text (a float counts as the shortest text that means it).

    Digits below 1e-12 are rounded half even: the store has no room for them, and sums of what is left are exact in
    any order (I1). Raises ValueError for what is negative, not finite, no number, or one million dollars and more.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | str | Decimal):
        raise ValueError("an amount is a number, or a string that holds one")
    text = number if isinstance(number, str) else str(number)
    usd = _exact_usd(text) if len(text) <= _LONGEST_AMOUNT else None
    if usd is None:
        raise ValueError("an amount is a decimal number from 0 to below 1,000,000 US dollars")
    return usd


@lru_cache(4096)
def _exact_usd(text: str) -> Usd | None:
    """None for what is no amount. The pattern bounds the length and the exponent, and so the work and the memory."""
    if not _DECIMAL.fullmatch(text):
        return None
    try:
        usd = Decimal(text)
    except InvalidOperation:
        return None
    if not 0 <= usd < MAX_USD:
        return None
    rounded = usd.quantize(USD_SCALE)
    if rounded >= MAX_USD:
        return None
    return (usd if rounded == usd else rounded) if rounded else Decimal(0)


def _micros_schema(_source: object, _handler: object) -> core_schema.CoreSchema:
    whole = core_schema.int_schema(strict=True, ge=0, lt=MAX_MICROS)
    return core_schema.union_schema(
        [whole, core_schema.no_info_plain_validator_function(parse_time)],
        mode="left_to_right",
        custom_error_type="time",
        custom_error_message=_TIME_RULE,
    )


_TIME_JSON: dict[str, Any] = {
    "description": "ISO 8601 text (UTC without an offset), or whole microseconds since 1970; years 1970 to 2200.",
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0, "maximum": MAX_MICROS - 1}],
}
_ANY_JSON: dict[str, Any] = {"description": "Any JSON value; text stays text, anything else becomes compact JSON."}
_METADATA_JSON: dict[str, Any] = {"description": 'A JSON object; anything else is kept as {"metadata": value}.'}

MicrosField = Annotated[Micros, GetPydanticSchema(_micros_schema), WithJsonSchema(_TIME_JSON)]
"""ISO 8601 text, a datetime or integer microseconds -> Micros."""

TextField = Annotated[str, PlainValidator(to_text), WithJsonSchema(_ANY_JSON)]
"""Any JSON value -> text, by `to_text`."""

MetadataField = Annotated[dict[str, Any], PlainValidator(to_metadata), WithJsonSchema(_METADATA_JSON)]
"""Any JSON value -> dict, by `to_metadata`."""

IdField = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""The rule of `pipeline.events.keys.check_id`, checked in Rust."""
