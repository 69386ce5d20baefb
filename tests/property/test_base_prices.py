"""Every model and price of genai-prices, at several dates and counts, against two computations that are not ours."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, TieredPrices, Usage

from pipeline.cost.base import Listed
from pipeline.cost.book import Price
from pipeline.cost.price import compute

DATES = [
    datetime(2023, 6, 1, 12, tzinfo=UTC),
    datetime(2025, 7, 1, 3, tzinfo=UTC),
    datetime(2026, 11, 25, 20, tzinfo=UTC),
]
COUNTS = [
    {"input": 450, "output": 120},
    {"input": 1, "input_cached": 199_999, "output": 7, "output_reasoning": 3},
    {"input": 10_001, "input_cached": 190_000, "input_cache_write_5m": 300, "input_cache_write_1h": 11, "output": 1},
    {"input": 999_999, "output": 1_000_003},
]
TOLERANCE = Decimal("1e-12")


@cache
def models() -> list[tuple[Provider, ModelInfo]]:
    return [(provider, model) for provider in get_snapshot().providers for model in provider.models]


def computed(provider: Provider, model: ModelInfo, when: datetime, counts: dict[str, int]) -> dict[str, Decimal]:
    listed = Listed(provider.id, model, (), None, True)
    found = listed.at(int(when.timestamp() * 1_000_000), {})  # type: ignore[arg-type]
    return compute({**counts, "total": sum(counts.values())}, Price(found.id, model.id, found.rates))[0]


def test_all_models_cost_what_genai_prices_computes_itself() -> None:
    compared = 0
    for provider, model in models():
        for when, counts in zip((*DATES, DATES[-1]), COUNTS, strict=True):
            expected = _theirs(provider, model, when, counts)
            ours = computed(provider, model, when, counts).get("total", Decimal(0))
            assert abs(ours - expected) <= TOLERANCE * len(counts), (provider.id, model.id, when, counts)
            compared += 1
    assert compared == 4 * len(models()) > 9_000


def _theirs(provider: Provider, model: ModelInfo, when: datetime, counts: dict[str, int]) -> Decimal:
    written = counts.get("input_cache_write_5m", 0) + counts.get("input_cache_write_1h", 0)
    usage = Usage(
        input_tokens=sum(count for key, count in counts.items() if key.startswith("input")),
        cache_read_tokens=counts.get("input_cached", 0),
        cache_write_tokens=written,
        cache_write_1h_tokens=counts.get("input_cache_write_1h", 0),
        output_tokens=sum(count for key, count in counts.items() if key.startswith("output")),
        output_reasoning_tokens=counts.get("output_reasoning", 0),
    )
    return model.calc_price(usage, provider, genai_request_timestamp=when).total_price


@pytest.mark.parametrize("counts", COUNTS)
def test_plain_prices_are_the_fractions_of_the_data(counts: dict[str, int]) -> None:
    """Only input and output, straight from the data, as fractions: no decimal of ours is involved."""
    checked = 0
    for provider, model in models():
        prices = model.get_prices(DATES[-1])
        amounts = computed(provider, model, DATES[-1], counts)
        size = sum(count for key, count in counts.items() if key.startswith("input"))
        for key, price in (("input", prices.input_mtok), ("output", prices.output_mtok)):
            if price is not None:
                assert abs(Fraction(amounts[key]) - _fraction(price, size) * counts[key]) <= Fraction(1, 2 * 10**12)
                checked += 1
    assert checked > 4_000


def _fraction(price: Decimal | TieredPrices, size: int) -> Fraction:
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if size > tier.start]
        price = reached[-1] if reached else price.base
    return Fraction(price) / 10**6


def test_every_part_is_rounded_once_and_the_total_is_their_sum() -> None:
    for provider, model in models():
        amounts = computed(provider, model, DATES[1], COUNTS[2])
        parts = [amount for key, amount in amounts.items() if key != "total"]
        assert amounts.get("total", Decimal(0)) == sum(parts)
        assert all(amount == amount.quantize(TOLERANCE) for amount in parts)


def _seconds() -> Iterator[tuple[int, Decimal]]:
    yield from ((1, Decimal("0.000011111111")), (3600, Decimal("0.04")), (90, Decimal("0.001")))


def test_hours_are_divided_last() -> None:
    (provider,) = (provider for provider in get_snapshot().providers if provider.id == "groq")
    model = next(m for m in provider.models if getattr(m.get_prices(DATES[-1]), "audio_hours", None) == Decimal("0.04"))
    for seconds, expected in _seconds():
        assert computed(provider, model, DATES[-1], {"seconds": seconds})["seconds"] == expected
