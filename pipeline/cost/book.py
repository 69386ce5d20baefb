"""The price book: which price a model has at a time. The base is the package genai-prices, bundled data, no network;
prices from before its time are in history.py.

A name that the book does not know is tried again without a provider prefix (`openai/gpt-4o`). Lookups are cached by
name; the price of a model may depend on the date and the hour, so the last step is taken for each call.
Names come from clients: nothing longer than MAX_NAME is looked up, and only so many names are remembered.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from pipeline.cost.history import EARLIER
from pipeline.events.model import Micros

PER_MILLION = Decimal(1_000_000)
BASE = "genai-prices"
MAX_NAME = 500  # characters; no model has a name that long
PerToken = Callable[[str, int], Decimal | None]

# Canonical usage key -> the book's price attributes, the first that the model has is used.
PRICE_KEYS: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "input_cached": ("cache_read_mtok", "input_mtok"),
    "input_cache_write_5m": ("cache_write_mtok", "input_mtok"),
    "input_cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "input_image": ("input_image_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "output_reasoning": ("output_reasoning_mtok", "output_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
}


class Price(NamedTuple):
    """What a model costs: `per_token(usage key, input tokens in all)` in USD, None where the book has no price."""

    id: str
    model: str
    per_token: PerToken


class PriceBook:
    """Prices of models by name and time."""

    def __init__(self, snapshot: DataSnapshot | None = None) -> None:
        self._providers = (snapshot or get_snapshot()).providers
        self._find = lru_cache(10_000)(self._look_up)
        self._compiled: dict[int, PerToken] = {}

    def price(self, model: str, at: Micros) -> Price | None:
        """The price of `model` valid at `at`; None for a model the book does not know."""
        found = self._find(model) if len(model) <= MAX_NAME else None
        if found is None:
            return None
        provider, info = found
        book, version, prices = _valid(provider, info, at)
        per_token = self._compiled.get(id(prices))
        if per_token is None:
            per_token = self._compiled[id(prices)] = _compile(prices)
        return Price(f"{book}:{provider}/{info.id}#{version}", info.id, per_token)

    def _look_up(self, model: str) -> tuple[str, ModelInfo] | None:
        prefix, slash, rest = model.partition("/")
        snapshot = DataSnapshot(self._providers, False)  # it never forgets a name it was asked for: use it once
        for provider_id, name in ((None, model), (prefix if slash else None, rest), (None, rest.rpartition("/")[2])):
            if not name:
                continue
            try:
                provider, info = snapshot.find_provider_model(name, None, provider_id, None)
            except LookupError:
                continue
            return provider.id, info
        return None


def _valid(provider: str, info: ModelInfo, at: Micros) -> tuple[str, int, ModelPrice]:
    """The price that holds at a time, with its book and its number in the model's list: later entries come first."""
    earlier = EARLIER.get((provider, info.id), ())
    if isinstance(info.prices, ModelPrice) and not earlier:
        return BASE, 0, info.prices
    when = datetime.fromtimestamp(at / 1_000_000, UTC)
    for number, (until, prices) in enumerate(earlier):
        if when.date() < until:
            return "history", number, prices
    if isinstance(info.prices, ModelPrice):
        return BASE, 0, info.prices
    for number in range(len(info.prices) - 1, -1, -1):
        constraint = info.prices[number].constraint
        if constraint is None or constraint.active(when):
            return BASE, number, info.prices[number].prices
    return BASE, 0, info.prices[0].prices


def _compile(prices: ModelPrice) -> PerToken:
    table: dict[str, Decimal | TieredPrices] = {}  # per token, or tiers per million
    for key, names in PRICE_KEYS.items():
        found = next((value for name in names if (value := prices.__dict__.get(name)) is not None), None)
        if found is not None:
            table[key] = found if isinstance(found, TieredPrices) else found / PER_MILLION

    def per_token(key: str, input_tokens: int) -> Decimal | None:
        price = table.get(key)
        if not isinstance(price, TieredPrices):
            return price
        tier = next((t for t in reversed(price.tiers) if input_tokens > t.start), None)
        return (price.base if tier is None else tier.price) / PER_MILLION

    return per_token
