"""The price book: which price a project's model has at a time. One book never changes; another one has another epoch.

Who says it, the first that does counts:
1. an entry of the project's own, 2. an entry for all projects, 3. the supplement of dated prices, 4. genai-prices.
Of several entries on one level: the one with more conditions that hold, then the latest start, then the later one in
the document. Discounts come off list prices (3 and 4, also under another name), not off prices that an entry states:
those are what the contract says. A project's discount and the instance's multiply.
Lookups are remembered by project and name. Names come from clients: only so many are remembered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pipeline.cost.base import MAX_NAME, BaseBook, Listed, Price
from pipeline.cost.context import context_of
from pipeline.cost.document import EMPTY, Discount, Entry, PriceDocument
from pipeline.cost.own import rates_of
from pipeline.cost.rates import Rates, discounted
from pipeline.events.model import Fields, Micros

KEPT_NAMES = 10_000
_FIRST, _LAST = -(2**62), 2**62
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class _Own:
    """An entry, ready to be asked. `rates` are its own; else `listed` is the model that it stands for."""

    entry: Entry
    start: int
    until: int
    rates: Rates | None
    listed: Listed | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """All that may decide a name's price. `only`: the price itself, where nothing else can."""

    own: tuple[_Own, ...]
    listed: Listed | None
    discounts: tuple[Discount, ...]
    only: Price | None


__all__ = ["Price", "PriceBook"]


class PriceBook:
    """Prices of models by project, name, time and kind of request."""

    def __init__(self, document: PriceDocument = EMPTY, *, epoch: int = 0, base: BaseBook | None = None) -> None:
        self.epoch = epoch
        self.document = document
        self._base = base or BaseBook()
        self._kept: dict[tuple[str, str], _Answer | None] = {}
        self._less: dict[tuple[int, Decimal], tuple[Rates, Rates]] = {}

    def price(self, project_id: str, model: str, at: Micros, fields: Fields) -> Price | None:
        """The price of `model` valid at `at`; None for a model that no book knows."""
        key = (project_id, model)
        answer = self._kept.get(key, False)
        if answer is False:
            answer = self._remember(key)
        if answer is None:
            return None
        assert answer is not True  # noqa: S101  # for the type checker: `False` is the only bool here
        return answer.only or self._select(answer, at, context_of(fields))

    def _remember(self, key: tuple[str, str]) -> _Answer | None:
        project_id, model = key
        if not model or len(model) > MAX_NAME:
            return None
        answer = self._look_up(project_id, model)
        if len(self._kept) >= KEPT_NAMES:
            self._kept.clear()
        self._kept[key] = answer
        return answer

    def _look_up(self, project_id: str, model: str) -> _Answer | None:
        entries = [e for e in self.document.prices if e.project in (None, project_id) and _matches(e.match, model)]
        order = {entry.id: number for number, entry in enumerate(entries)}
        own = tuple(
            sorted(
                (self._own(entry) for entry in entries),
                key=lambda o: (o.entry.project is not None, len(o.entry.when), o.start, order[o.entry.id]),
                reverse=True,
            )
        )
        listed = self._base.find(model)
        if not own and listed is None:
            return None
        discounts = tuple(
            d for d in self.document.discounts if d.project in (None, project_id) and _matches(d.match, model)
        )
        only = listed.only if listed and not own and not discounts else None
        return _Answer(own, listed, discounts, only)

    def _own(self, entry: Entry) -> _Own:
        start = _micros(entry.start, _FIRST)
        until = _micros(entry.until, _LAST)
        if entry.model is not None:
            return _Own(entry, start, until, None, self._base.find(entry.model))
        return _Own(entry, start, until, rates_of(entry, entry.tiers, _ONE - entry.discount), None)

    def _select(self, answer: _Answer, at: Micros, context: Mapping[str, str]) -> Price | None:
        for own in answer.own:
            if not own.start <= at < own.until or not own.entry.when.items() <= context.items():
                continue
            name = f"entry:{own.entry.id}"
            if own.rates is not None:
                return Price(name, own.entry.id, own.rates)
            if own.listed is not None:
                price = own.listed.at(at, context)
                factor = (_ONE - own.entry.discount) * _factor(answer.discounts, at)
                return self._discounted(price._replace(id=f"{name}={price.id}"), factor)
        if answer.listed is None:
            return None
        price = answer.listed.at(at, context)
        return self._discounted(price, _factor(answer.discounts, at)) if answer.discounts else price

    def _discounted(self, price: Price, factor: Decimal) -> Price:
        if factor == _ONE:
            return price
        key = (id(price.rates), factor)
        kept = self._less.get(key)
        if kept is None or kept[0] is not price.rates:
            if len(self._less) >= KEPT_NAMES:
                self._less.clear()
            kept = self._less[key] = (price.rates, discounted(price.rates, factor))
        return Price(f"{price.id}*{factor.normalize()}", price.model, kept[1])


def _factor(discounts: tuple[Discount, ...], at: Micros) -> Decimal:
    """What is left of a list price: the latest discount of the project times the latest of the instance."""
    factor = _ONE
    for own in (True, False):
        valid = [
            (_micros(d.start, _FIRST), number, d.share)
            for number, d in enumerate(discounts)
            if (d.project is not None) is own and _micros(d.start, _FIRST) <= at < _micros(d.until, _LAST)
        ]
        if valid:
            factor *= _ONE - max(valid)[2]
    return factor


def _micros(moment: object, otherwise: int) -> int:
    return round(moment.timestamp() * 1_000_000) if isinstance(moment, datetime) else otherwise


def _matches(pattern: str, model: str) -> bool:
    return re.fullmatch(pattern, model, re.IGNORECASE) is not None
