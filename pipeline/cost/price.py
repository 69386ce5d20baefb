"""The cost of one observation: what the client gave wins; else canonical usage times the price at the start time.

Money is Decimal, rounded once per usage key to 12 places (half to even), and the total is the sum of the rounded
parts. A cost that cannot be known is None, never 0: no model, a model without a price, or no usage.
Where the client gave no usage, a model with a known tokenizer has its text counted (tokens.py).
"""

from collections.abc import Mapping
from decimal import Decimal

from pipeline.cost.book import Price, PriceBook
from pipeline.cost.rates import rounded
from pipeline.cost.tokens import TokenCounter
from pipeline.cost.usage import Normalised, normalise
from pipeline.cost.usage_rules import NOT_TOKENS
from pipeline.cost.usage_shape import Usage
from pipeline.events.flags import Flag
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced, UsageSource

_ZERO = Decimal(0)
MOST_QUICK = 10**9  # more digits than that would not fit into the default precision of decimals


class ObservationPricer:
    """Prices observations with one book and one counter; both may be shared. The result depends on the book alone."""

    def __init__(self, book: PriceBook | None = None, counter: TokenCounter | None = None) -> None:
        self.book = book or PriceBook()
        self.epoch = self.book.epoch  # rows that it prices are written under it
        self._counter = counter or TokenCounter()

    def __call__(self, project_id: str, fields: Fields, start_time: Micros) -> Priced:
        """Canonical usage and cost of an observation's merged fields. `start_time` selects the dated price."""
        model = fields.get("model", "")
        given_usage, given_cost = fields.get("usage"), fields.get("cost")
        if not model and not given_usage and not given_cost:
            return UNPRICED
        price = self.book.price(project_id, model, start_time, fields) if model else None
        usage, flags, rule = normalise(given_usage, model) if given_usage else _UNKNOWN
        source: UsageSource = "provided" if usage else "none"
        if not usage and not given_cost and model and (counted := self._counter.count(model, fields)):
            usage, rule, source = counted.usage, counted.method, "estimated"
        name = price.model if price else ""
        if given_cost:
            cost, total, odd = _given(given_cost)
            return Priced(usage, source, cost, total, "provided", "", name, _with(flags, odd), rule)
        cost, odd = compute(usage, price) if price is not None and usage else ({}, ())
        if price is None or not cost:
            return Priced(usage, source, {}, None, "none", "", name, flags, rule)
        return Priced(usage, source, cost, cost["total"], "computed", price.id, name, _with(flags, odd), rule)


_UNKNOWN = Normalised({}, (), "")


def _with(flags: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*flags, *more})) if more else flags


def _given(given: Mapping[str, Decimal]) -> tuple[dict[str, Decimal], Decimal, tuple[str, ...]]:
    """The client's own cost; its parts are summed where it gave no total."""
    cost = {key: rounded(amount) for key, amount in given.items()}
    added = sum((amount for key, amount in cost.items() if key != "total"), _ZERO)
    total = cost.setdefault("total", added)
    return cost, total, () if total == added or len(cost) == 1 else (Flag.COST_MISMATCH,)


def compute(usage: Usage, price: Price) -> tuple[dict[str, Decimal], tuple[str, ...]]:
    """Cost by usage key, with the total, and flags; no cost where no key has a price."""
    quick = price.rates.quick
    cost: dict[str, Decimal] = {}
    total = _ZERO
    for key, count in usage.items():
        if key == "total":
            continue
        unit = quick.get(key)
        if unit is None or count > MOST_QUICK:
            return _compute_any(usage, price)
        cost[key] = amount = unit * count
        total += amount
    if not cost or price.rates.per_request:
        return _compute_any(usage, price)
    cost["total"] = total
    return cost, ()


def _compute_any(usage: Usage, price: Price) -> tuple[dict[str, Decimal], tuple[str, ...]]:
    """As `compute`: tiers, amounts that must be rounded, counts of any size, fees, kinds without a price."""
    input_tokens = input_size(usage)
    cost: dict[str, Decimal] = {}
    missing = False
    for key, count in billed(usage, price).items():
        unit = price.rates.unit(key, input_tokens)
        if unit is not None:
            cost[key] = unit.amount(count)
        elif count and key not in NOT_TOKENS:
            missing = True
    if not cost:
        return {}, ()
    cost["total"] = sum(cost.values(), _ZERO)
    return cost, (Flag.PARTLY_PRICED,) if missing else ()


def billed(usage: Usage, price: Price) -> Usage:
    """What the price is multiplied with: all but the total; a total alone is input where only input is sold."""
    rest = {key: count for key, count in usage.items() if key != "total"}
    if not rest and "total" in usage and "output" not in price.rates.units:
        rest = {"input": usage["total"]}
    if price.rates.per_request and rest:
        rest.setdefault("requests", 1)
    return rest


def input_size(usage: Usage) -> int:
    """Tokens of the whole input, which choose the tier."""
    return sum(count for key, count in usage.items() if key.startswith("input") and key not in NOT_TOKENS)
