"""The prices that people write: overrides, custom models, discounts. One YAML or JSON document, checked as a whole.

Problem: prices by hand must be as exact as the bundled ones, and a slip must be found before it is charged.
Rule: numbers are read as the text they are written in, never as floats. Unknown keys are refused. A pattern is a
regular expression that must match the whole name, in any case; one that could take for ever is refused.
Fails with PriceDocumentError, which names the entry and the key.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import SpanfoldError

MAX_ENTRIES = 10_000
MAX_BYTES = 5_000_000
_NESTED_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*[+*}](?:[^()\\]|\\.)*\)\s*[+*{]")


class PriceDocumentError(SpanfoldError):
    """A price document is malformed."""


def _pattern(text: str) -> str:
    if _NESTED_REPEAT.search(text):
        raise ValueError("a repeated group must not repeat something itself: it could take for ever to match")
    try:
        re.compile(text)
    except (re.error, OverflowError) as error:  # the latter for too large a number of repetitions
        raise ValueError(f"no regular expression: {error}") from None
    return text


def _may_not_end(pattern: str) -> bool:
    """Whether a repeated group holds a repetition or a choice, at any depth."""
    held, at = [False], 0  # of each open group
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _end_of_class(pattern, at)
        elif char == "(":
            held.append(False)
        elif char == ")" and len(held) > 1:  # not one in a comment
            inner = held.pop()
            if inner and pattern[at + 1 :].lstrip()[:1] in ("+", "*", "{"):
                return True
            held[-1] |= inner
        elif char in "+*{|":
            held[-1] = True
        at += 1
    return False


def _end_of_class(pattern: str, at: int) -> int:
    """Where the `]` is that closes the `[` at a place; a first one is a member of the class."""
    at += 2 if pattern[at + 1] == "^" else 1
    at += pattern[at] == "]"
    while pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at


def _moment(value: object) -> object:
    """A day is its first moment, UTC; a time without an offset is UTC."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def _aware(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time outside of the calendar in UTC") from None


def _amount(value: object) -> object:
    return str(value) if isinstance(value, float | int) and not isinstance(value, bool) else value


Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)]
Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_pattern)]
Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, le=10**9, max_digits=30, decimal_places=15)]
Share = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, le=1, decimal_places=6)]
Amounts = Annotated[dict[Annotated[str, Field(min_length=1, max_length=100)], Amount], Field(max_length=100)]
Context = Annotated[dict[str, str], Field(max_length=10)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Prices(_Strict):
    """USD per million tokens and per single unit, by canonical usage key."""

    per_million: Amounts = {}
    per_unit: Amounts = {}


class PriceTier(Prices):
    """Prices for all tokens of a call whose whole input is above so many tokens."""

    above: int = Field(ge=0)


class Dated(_Strict):
    """Valid from (included) until (excluded); open where not given."""

    start: Moment | None = Field(None, alias="from")
    until: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start and self.until and self.start >= self.until:
            raise ValueError("`from` must lie before `until`")
        return self


class Entry(Dated, Prices):
    """The price of the models whose names match: prices of its own, or another model's with a discount."""

    id: str = Field(min_length=1, max_length=100, pattern=r"^[\w.:/-]+$")
    project: str | None = None  # None: all projects
    match: Pattern
    when: Context = {}  # service_tier, processing, speed, region, ...: all must be equal
    tiers: list[PriceTier] = []
    model: str | None = Field(None, max_length=200)  # priced as this model of the other books
    discount: Share = Decimal(0)
    note: str = ""

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        own = bool(self.per_million or self.per_unit)
        if own == bool(self.model):
            raise ValueError("give either prices (`per_million`, `per_unit`) or the `model` to price it as")
        if self.tiers and not own:
            raise ValueError("`tiers` need prices of their own to start from")
        return self


class Discount(Dated):
    """A share off the list prices, for one project or for all."""

    project: str | None = None
    match: Pattern = ".*"
    share: Share


class PriceDocument(_Strict):
    """Everything that people say about prices."""

    prices: list[Entry] = Field([], max_length=MAX_ENTRIES)
    discounts: list[Discount] = Field([], max_length=MAX_ENTRIES)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [entry.id for entry in self.prices]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1}) if len(set(ids)) < len(ids) else []
        if twice:
            raise ValueError(f"these ids come twice: {', '.join(twice[:5])}")
        return self


EMPTY = PriceDocument()


def parse_document(text: str) -> PriceDocument:
    """A document from YAML (so also from JSON). Raises PriceDocumentError."""
    if len(text) > MAX_BYTES:
        raise PriceDocumentError(f"The price document is larger than {MAX_BYTES} bytes.", remedy="Split it.")
    try:
        raw = yaml.load(text, _Texts)  # noqa: S506  # a subclass of BaseLoader, which makes texts, lists and maps only
    except (yaml.YAMLError, RecursionError) as error:
        raise PriceDocumentError(f"The price document is no YAML: {error}", remedy="Check its indentation.") from None
    document = check_document(raw if raw not in (None, "") else {})
    patterns = [each.match for each in document.prices] + [each.match for each in document.discounts]
    for pattern in patterns:  # not in `check_document`: what is published stays readable
        if _may_not_end(pattern):
            raise PriceDocumentError(
                f"The pattern {pattern!r} repeats a group that itself repeats or chooses: some names would take it"
                " for ever.",
                remedy="Write [ab] for (a|b), and .* for what may be anything.",
            )
    return document


def check_document(raw: Any) -> PriceDocument:
    """A document from plain values, such as JSON gives. Raises PriceDocumentError."""
    try:
        return PriceDocument.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the document"
        raise PriceDocumentError(
            f"The price document is wrong at {where}: {first['msg']}.", remedy="docs/cost.md shows the form."
        ) from None


class _Texts(yaml.BaseLoader):
    """Every scalar stays the text that was written, so that no decimal passes through a float. No aliases: a few
    lines of them could stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)
