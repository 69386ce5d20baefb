"""The base book: the package genai-prices, whose data is bundled (no network), compiled for one lookup a call.

A model's price may depend on the day, on the hour, and on what kind of request it was (batch, a service tier). All of
its prices are compiled once, when the model is first met. Prices from before the package's time are in supplement.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, TieredPrices, TimeOfDateConstraint

from pipeline.cost.names import candidates
from pipeline.cost.rates import KINDS, Rates, Tiered, Unit, make_rates, make_unit, per_of
from pipeline.cost.supplement import Earlier, earlier_prices
from pipeline.events.model import Micros

BASE = "genai-prices"
RULES_VERSION = 1  # goes up with every change of the supplement or of the usage rules: prices of old rows may differ
DAY = 86_400_000_000  # µs
KEPT_DAYS = 2_000
MAX_NAME = 500  # characters; no model has a name that long


@cache
def base_version() -> str:
    """Which data this is: books of one epoch must have the same base in every process."""
    return f"{BASE} {version(BASE)}, rules {RULES_VERSION}"


class Price(NamedTuple):
    """What a model costs, what the price is called, and the book's name of the model."""

    id: str
    model: str
    rates: Rates


@dataclass(frozen=True, slots=True)
class Listed:
    """One model of the base book. `only`: its price, where neither date nor kind of request matters."""

    provider: str
    info: ModelInfo
    earlier: tuple[Earlier, ...]
    only: Price | None
    hourly: bool  # the price depends on the time of day
    by_day: dict[object, Price] = field(default_factory=dict, compare=False)

    def at(self, when: Micros, context: Mapping[str, str]) -> Price:
        """The price at a time for a kind of request; remembered by the day, as prices change at midnight UTC."""
        if self.only is not None:
            return self.only
        if self.hourly:
            return self._at(when, context)
        key = (when // DAY, *context.items()) if context else when // DAY
        found = self.by_day.get(key)
        if found is None:
            if len(self.by_day) >= KEPT_DAYS:
                self.by_day.clear()
            found = self.by_day[key] = self._at(when, context)
        return found

    def _at(self, when: Micros, context: Mapping[str, str]) -> Price:
        moment = datetime.fromtimestamp(when / 1_000_000, UTC)
        for price in self.earlier:
            if moment < price.until:
                return Price(f"supplement:{self._name}#{price.number}", self.info.id, price.rates)
        number, standard = _standard(self.info, moment)
        matching = _variants(self.info, moment, context)
        if not matching:
            return Price(f"{BASE}:{self._name}#{number}", self.info.id, _compiled(standard))
        merged: dict[str, Any] = {k: v for k, v in standard.__dict__.items() if v is not None}
        overrides: dict[str, Any] = {}
        for variant in matching:
            for key, price in variant.prices.__dict__.items():
                if price is not None:
                    overrides.setdefault(key, price)
        what = sorted({condition for variant in matching for condition in variant.when.items()})
        name = ",".join(f"{key}={value}" for key, value in what)
        return Price(f"{BASE}:{self._name}#{number}?{name}", self.info.id, _rates(merged | overrides))

    @property
    def _name(self) -> str:
        return f"{self.provider}/{self.info.id}"


class BaseBook:
    """Looks models up by the names that clients send."""

    def __init__(self, snapshot: DataSnapshot | None = None) -> None:
        self._providers = (snapshot or get_snapshot()).providers
        self._by_id = {provider.id: provider for provider in self._providers}

    def find(self, name: str) -> Listed | None:
        """The model that a name means; None where the book does not know it. Takes up to 1 ms: keep the answer."""
        if not name or len(name) > MAX_NAME:
            return None
        for provider_id, candidate in candidates(name):
            found = self._find(provider_id, candidate) if candidate else None
            if found is not None:
                return found
        return None

    def _find(self, provider_id: str | None, name: str) -> Listed | None:
        if provider_id is None:
            lower = name.lower()
            matching = (p for p in self._providers if p.model_match is not None and p.model_match.is_match(lower))
            provider = next(matching, None)
        else:
            provider = self._by_id.get(provider_id)
        info = provider.find_model(name, all_providers=self._providers) if provider is not None else None
        if provider is None or info is None:
            return None
        owner = provider if any(info is model for model in provider.models) else _owner(self._providers, info)
        earlier = earlier_prices().get((owner.id, info.id), ())
        return Listed(provider.id, info, earlier, _only(provider.id, info, earlier), _is_hourly(info))


def _owner(providers: list[Any], info: ModelInfo) -> Any:
    """The provider whose price list another one falls back to (Azure to OpenAI)."""
    return next(provider for provider in providers if any(info is model for model in provider.models))


def _only(provider: str, info: ModelInfo, earlier: tuple[Earlier, ...]) -> Price | None:
    if earlier or info.price_variants or not isinstance(info.prices, ModelPrice):
        return None
    return Price(f"{BASE}:{provider}/{info.id}#0", info.id, _rates(info.prices.__dict__))


def _is_hourly(info: ModelInfo) -> bool:
    conditions = [price.constraint for price in info.prices] if isinstance(info.prices, list) else []
    conditions += [variant.constraint for variant in info.price_variants or ()]
    return any(isinstance(condition, TimeOfDateConstraint) for condition in conditions)


def _standard(info: ModelInfo, moment: datetime) -> tuple[int, ModelPrice]:
    """The price without any kind of request, and its number in the model's list: later entries come first."""
    if isinstance(info.prices, ModelPrice):
        return 0, info.prices
    prices: list[ConditionalPrice] = info.prices
    for number in range(len(prices) - 1, -1, -1):
        constraint = prices[number].constraint
        if constraint is None or constraint.active(moment):
            return number, prices[number].prices
    return 0, prices[0].prices


def _variants(info: ModelInfo, moment: datetime, context: Mapping[str, str]) -> list[PriceVariant]:
    if not context:
        return []
    return [
        variant
        for variant in info.price_variants or ()
        if (variant.constraint is None or variant.constraint.active(moment))
        and all(context.get(key) == value for key, value in variant.when.items())
    ]


_kept: dict[int, tuple[ModelPrice, Rates]] = {}


def _compiled(prices: ModelPrice) -> Rates:
    """The rates of one of the package's price objects, made once; the object is kept, so its id stays its own."""
    kept = _kept.get(id(prices))
    if kept is None:
        kept = _kept[id(prices)] = (prices, _rates(prices.__dict__))
    return kept[1]


def _rates(prices: Mapping[str, Any]) -> Rates:
    units: dict[str, Unit | Tiered] = {}
    for key, attributes in KINDS.items():
        for attribute in attributes:
            price = prices.get(attribute)
            if price is not None:
                units[key] = _unit(price, per_of(attribute))
                break
    return make_rates(units)


def _unit(price: Any, per: int) -> Unit | Tiered:
    if not isinstance(price, TieredPrices):
        return make_unit(price, per)
    tiers = tuple((tier.start, make_unit(tier.price, per)) for tier in price.tiers)
    return Tiered(make_unit(price.base, per), tiers)
