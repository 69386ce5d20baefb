"""How values are read: from what an attribute holds to the canonical value of a field, or None where it is none.

Clients write structured values as JSON text, because attributes are flat. JSON is parsed where a field needs its
structure, and else only freed of insignificant white space, so that a value is the same by every route.
A reader takes (value, span); most need the value only.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from pipeline.events.langfuse_environment import canonical_environment
from pipeline.events.langfuse_usage import cost_details, usage_details
from pipeline.events.mapping.rule import Read
from pipeline.events.model import Micros
from pipeline.events.otlp.span import Span
from pipeline.events.values import MAX_NESTING, to_micros, to_text, to_usd

_MAX_PROMPT_VERSION = 2**31


def text(value: Any, _span: Span) -> str | None:
    """A text that is not empty; numbers and truth values as JSON writes them."""
    if isinstance(value, str):
        return value or None
    return to_text(value) if isinstance(value, bool | int | float) else None


def payload(value: Any, _span: Span | None = None) -> str | None:
    """Input or output: text as it is, JSON without white space, structures as JSON; empty text is no opinion."""
    if value is None or value == "":
        return None
    return compact(value) if isinstance(value, str) else to_text(value)


def compact(value: str) -> str:
    """JSON objects and lists without insignificant white space; every other text unchanged."""
    if value[:1] not in "{[" or value[-1:] not in "}]":
        return value
    try:
        return msgspec.json.format(value.encode(), indent=-1).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return value  # a text that only looks like JSON is a text


def parsed(value: Any) -> Any:
    """The value of a JSON text; what is no text, no JSON or nested too deeply comes back as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = orjson.loads(value)
        if value.count("[") + value.count("{") > MAX_NESTING:
            orjson.dumps(found)  # refuses what is nested deeper than any writer would write
    except (orjson.JSONDecodeError, TypeError):
        return value
    return found


def structure(value: Any) -> Any:
    """As `parsed`, for objects and lists only: a text such as `123` stays the text that it may have been."""
    return parsed(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def obj(value: Any, _span: Span | None = None) -> dict[str, Any] | None:
    """An object, also as JSON text."""
    found = structure(value)
    return found if isinstance(found, dict) and found else None


def flag(value: Any, _span: Span) -> bool | None:
    """True and false, also as text."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def tag_list(value: Any, _span: Span) -> list[str] | None:
    """A list of texts; as JSON text, as text with commas between, or a single text."""
    found = structure(value)
    if isinstance(found, str):
        found = found.split(",")
    if not isinstance(found, list):
        return None
    return [tag for item in found if (tag := item.strip() if isinstance(item, str) else to_text(item))] or None


def whole(value: Any, _span: Span) -> int | None:
    """A version number of a prompt, also as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 11:
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_PROMPT_VERSION
    return value if known else None


def moment(value: Any, _span: Span) -> Micros | None:
    """ISO 8601 text, also within the quotes of JSON. Raises ValueError for what is no time."""
    found = parsed(value)
    return to_micros(datetime.fromisoformat(found)) if isinstance(found, str) else None


def after_start(per_second: int, *, cut: bool = False) -> Read:
    """A duration since the span's start, in units of which a second has `per_second`."""

    def read(value: Any, span: Span) -> Micros | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or span.start is None:
            return None
        micros = value * 1_000_000 / per_second
        return Micros(span.start + (int(micros) if cut else round(micros)))

    return read


def environment(value: Any, _span: Span) -> str | None:
    """An environment's name by Langfuse's rule."""
    return canonical_environment(value) if isinstance(value, str) and value else None


def counts(value: Any, _span: Span | None = None) -> dict[str, int] | None:
    """Counts by the names that the client gave them, nested names joined by a dot; anything else is left out."""
    found = structure(value)
    return usage_details(found) or None if isinstance(found, dict) else None


def counts_below(prefix: str, *without: str) -> Read:
    """Counts of a group of attributes by their whole names.

    The convention's prefix stays, because it tells what the counts mean together (pipeline/cost/usage_rules.py):
    `cache_read_input_tokens` is a part of `gen_ai.usage.input_tokens`, but stands beside Anthropic's `input_tokens`.
    """

    def read(value: dict[str, Any], _span: Span) -> dict[str, int] | None:
        found = counts({name: count for name, count in value.items() if name not in without})
        return {prefix + name: count for name, count in found.items()} if found else None

    return read


def amounts(value: Any, _span: Span) -> dict[str, Decimal] | None:
    """US dollars by name. Raises ValueError for what is no amount."""
    found = structure(value)
    return cost_details(found) or None if isinstance(found, dict) else None


def total_cost(value: Any, _span: Span) -> dict[str, Decimal]:
    """A single amount in US dollars. Raises ValueError for what is none."""
    return {"total": to_usd(value)}


def parameters(*without: str) -> Read:
    """Parameters by name, JSON values parsed; an object as such, or as JSON text."""

    def read(value: Any, _span: Span) -> dict[str, Any] | None:
        found = structure(value)
        if not isinstance(found, dict):
            return None
        return {key: structure(item) for key, item in found.items() if key not in without and item is not None}

    return read


def one_of(table: Mapping[str, Any], *, upper: bool = False) -> Read:
    """The table's word for a text, None for texts that it does not have."""

    def read(value: Any, _span: Span) -> Any:
        found = parsed(value) if isinstance(value, str) and value.startswith('"') else value
        return table.get(found.upper() if upper else found) if isinstance(found, str) else None

    return read


def always(result: Any) -> Read:
    """The same, whatever the value: its presence is what counts."""

    def read(_value: Any, _span: Span) -> Any:
        return result

    return read


def named(key: str, read: Read | None = None) -> Read:
    """The value as metadata of that name."""

    def read_named(value: Any, span: Span) -> dict[str, Any] | None:
        found = structure(value) if read is None else read(value, span)
        return None if found is None else {key: found}

    return read_named


def member(*path: str, then: Read = payload) -> Read:
    """A member of an object or of the JSON text of one, read by `then`."""

    def read(value: Any, span: Span) -> Any:
        found = structure(value)
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return None if found is None else then(found, span)

    return read


def in_scope(prefix: str, read: Read) -> Read:
    """Only for spans of an instrumentation whose name begins with `prefix`."""

    def read_in_scope(value: Any, span: Span) -> Any:
        return read(value, span) if span.scope.name.startswith(prefix) else None

    return read_in_scope
