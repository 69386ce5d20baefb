"""The cost of one observation: what the client gave wins; else canonical usage times the price at the start time.

Money is Decimal, rounded once per usage key to 12 places (half to even), and the total is the sum of the rounded
parts. A cost that cannot be known is None, never 0: no model, a model without a price, or no usage.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from pipeline.cost.book import PerToken, PriceBook
from pipeline.cost.usage import Usage, normalise
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced, UsageSource

PLACES = Decimal("1E-12")
_EXACT = Context(prec=76, rounding=ROUND_HALF_EVEN)  # room for any count of tokens: an absurd one must not raise


def rounded(amount: Decimal) -> Decimal:
    """USD to 12 decimal places, half to even."""
    return amount.quantize(PLACES, context=_EXACT)


class ObservationPricer:
    """Prices observations with one book; one instance serves a whole worker."""

    epoch = 0

    def __init__(self, book: PriceBook | None = None) -> None:
        self._book = book or PriceBook()

    def __call__(self, project_id: str, fields: Fields, start_time: Micros) -> Priced:
        """Canonical usage and cost of an observation's merged fields. `start_time` selects the dated price."""
        given_usage, given_cost = fields.get("usage"), fields.get("cost")
        if not given_usage and not given_cost and "model" not in fields:
            return UNPRICED
        usage, flags = normalise(given_usage or {})
        source: UsageSource = "provided" if usage else "none"
        price = self._book.price(fields["model"], start_time) if fields.get("model") else None
        name = price.model if price else ""
        if given_cost:
            cost = {key: rounded(amount) for key, amount in given_cost.items()}
            if "total" not in cost:
                cost["total"] = sum(cost.values(), Decimal(0))
            return Priced(usage, source, cost, cost["total"], "provided", "", name, flags)
        cost = {} if price is None else _computed(usage, price.per_token)
        if price is None or not cost:
            return Priced(usage, source, {}, None, "none", "", name, flags)
        return Priced(usage, source, cost, cost["total"], "computed", price.id, name, flags)


def _computed(usage: Usage, per_token: PerToken) -> dict[str, Decimal]:
    """Cost by usage key, with the total; empty where no key has a price."""
    input_tokens = sum(count for key, count in usage.items() if key.startswith("input"))
    cost: dict[str, Decimal] = {}
    for key, count in usage.items():
        if key != "total" and (unit := per_token(key, input_tokens)) is not None:
            cost[key] = rounded(unit * count)
    if cost:
        cost["total"] = sum(cost.values(), Decimal(0))
    return cost
