"""What one unit of each kind of usage costs: the compiled form of a price, whichever book it came from.

Problem: books price per million tokens, per thousand searches, per hour; some by the size of the input.
Rule: amount = count * price / per, exact, rounded once to 12 places (half to even) by the caller. Where price / per has
a finite decimal form, which is all tokens, it is divided beforehand. A tier holds for all tokens of a call once its
input is above the tier's start.
A kind without a price of its own costs what the next one in KINDS costs; one without any has no price.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

PLACES = Decimal("1E-12")
EXACT = Context(prec=76, rounding=ROUND_HALF_EVEN)  # room for any count of tokens: an absurd one must not raise

# Canonical usage key -> the base book's price attributes, the first that the model has is used.
KINDS: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "input_cached": ("cache_read_mtok", "input_mtok"),
    "input_cached_audio": ("cache_audio_read_mtok", "cache_read_mtok", "input_audio_mtok", "input_mtok"),
    "input_cached_image": ("cache_image_read_mtok", "cache_read_mtok", "input_image_mtok", "input_mtok"),
    "input_cached_video": ("cache_video_read_mtok", "cache_read_mtok", "input_video_mtok", "input_mtok"),
    "input_cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "input_cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "input_image": ("input_image_mtok", "input_mtok"),
    "input_video": ("input_video_mtok", "input_mtok"),
    "input_tool": ("input_tool_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "output_reasoning": ("output_reasoning_mtok", "output_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
    "output_image": ("output_image_mtok", "output_mtok"),
    "output_video": ("output_video_mtok", "output_mtok"),
    "output_citation": ("output_citation_mtok", "output_mtok"),
    "requests": ("requests_kcount",),
    "searches": ("web_searches_kcount",),
    "storage_searches": ("storage_searches_kcount",),
    "social_searches": ("social_searches_kcount",),
    "rerank_searches": ("rerank_searches_kcount",),
    "code_executions": ("code_executions_kcount",),
    "seconds": ("audio_hours", "input_audio_hours"),
    "input_seconds": ("input_audio_hours", "audio_hours"),
    "output_seconds": ("output_audio_hours", "audio_hours"),
    "characters": ("input_mchars",),
    "messages": ("input_text_messages_kcount",),
    "pages": ("input_document_kpages",),
    "annotated_pages": ("input_annotated_document_kpages",),
    "pixels": ("input_gpixels",),
}

# The same for prices written with canonical keys: what a kind without its own price costs.
FALLBACKS: dict[str, tuple[str, ...]] = {
    key: tuple(other for attribute in attributes[1:] for other, own in KINDS.items() if own[0] == attribute)
    for key, attributes in KINDS.items()
}

_PER = {"mtok": 10**6, "kcount": 1000, "hours": 3600, "mchars": 10**6, "kpages": 1000, "gpixels": 10**9}


def per_of(attribute: str) -> int:
    """How many units a price attribute of the base book is for."""
    return _PER[attribute.rpartition("_")[2]]


class Unit(NamedTuple):
    """USD `price` per `per` units. `exact`: for one unit, where that has a finite form."""

    price: Decimal
    per: int
    exact: Decimal | None

    def amount(self, count: int) -> Decimal:
        """USD for a count, to 12 places, half to even."""
        if self.exact is not None:
            return rounded(EXACT.multiply(self.exact, count))
        return rounded(EXACT.divide(EXACT.multiply(self.price, Decimal(count)), Decimal(self.per)))


class Tiered(NamedTuple):
    """Units by the size of the whole input, the smallest start first."""

    base: Unit
    tiers: tuple[tuple[int, Unit], ...]

    def at(self, input_tokens: int) -> Unit:
        """The unit that holds for all tokens of a call with so much input: a tier begins above its start."""
        unit = self.base
        for start, tier in self.tiers:
            if input_tokens > start:
                unit = tier
        return unit


class Rates(NamedTuple):
    """Prices by canonical usage key. `quick`: exact per-token prices of at most 12 places, where no rounding is due."""

    units: Mapping[str, Unit | Tiered]
    quick: Mapping[str, Decimal]
    per_request: bool  # a fee is due for each call, counted or not

    def unit(self, key: str, input_tokens: int) -> Unit | None:
        """The price of a kind; None where it has none."""
        unit = self.units.get(key)
        return unit.at(input_tokens) if isinstance(unit, Tiered) else unit


def rounded(amount: Decimal) -> Decimal:
    """USD to 12 decimal places, half to even."""
    return amount.quantize(PLACES, context=EXACT)


def make_unit(price: Decimal, per: int, factor: Decimal = Decimal(1)) -> Unit:
    """A unit from a price per `per` units, times a factor (a discount)."""
    price = EXACT.multiply(price, factor).normalize(EXACT)
    exact = EXACT.divide(price, Decimal(per))
    return Unit(price, per, exact if EXACT.multiply(exact, Decimal(per)) == price and per != 3600 else None)


def make_rates(units: Mapping[str, Unit | Tiered]) -> Rates:
    """Rates from units by key."""
    quick = {
        key: unit.exact
        for key, unit in units.items()
        if isinstance(unit, Unit) and unit.exact is not None and _places(unit.exact) <= 12
    }
    return Rates(units, quick, "requests" in units)


def discounted(rates: Rates, factor: Decimal) -> Rates:
    """The same rates times a factor."""

    def less(unit: Unit) -> Unit:
        return make_unit(unit.price, unit.per, factor)

    return make_rates(
        {
            key: Tiered(less(unit.base), tuple((start, less(tier)) for start, tier in unit.tiers))
            if isinstance(unit, Tiered)
            else less(unit)
            for key, unit in rates.units.items()
        }
    )


def with_fallbacks(own: Mapping[str, Unit | Tiered]) -> Iterator[tuple[str, Unit | Tiered]]:
    """Every kind that has a price, its own or that of the kind it belongs to."""
    for key in (*KINDS, *(key for key in own if key not in KINDS)):
        found = next((own[name] for name in (key, *FALLBACKS.get(key, ())) if name in own), None)
        if found is not None:
            yield key, found


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
