"""Dated prices that the base book lacks, from data/supplement.yaml, by provider and the base book's model id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from pipeline.cost.document import Dated, Prices, PriceTier
from pipeline.cost.own import rates_of
from pipeline.cost.rates import Rates

DATA = Path(__file__).parent / "data" / "supplement.yaml"


class Supplement(Dated, Prices):
    """One price that no longer holds, with where it was announced."""

    provider: str
    model: str
    tiers: Sequence[PriceTier] = ()
    source: str


class Earlier(NamedTuple):
    """A price that held until a moment, and its number among the model's earlier ones."""

    until: datetime
    rates: Rates
    number: int


@cache
def earlier_prices() -> Mapping[tuple[str, str], tuple[Earlier, ...]]:
    """(provider, model) -> its earlier prices, oldest first."""
    found: dict[tuple[str, str], tuple[Earlier, ...]] = {}
    for raw in yaml.load(DATA.read_text("utf-8"), yaml.BaseLoader):  # noqa: S506  # texts only: decimals stay exact
        entry = Supplement.model_validate(raw)
        if entry.until is None:
            raise ValueError(f"supplement.yaml: {entry.model} needs `until`")
        key = (entry.provider, entry.model)
        before = found.get(key, ())
        rates = rates_of(entry, entry.tiers)
        found[key] = (*before, Earlier(entry.until, rates, len(before)))
    return found
