"""What pricing says about one observation: made by pipeline.cost and used by pipeline.fold, so it lives here."""

from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from pipeline.events.model import Fields, Micros

UsageSource = Literal["provided", "estimated", "none"]
CostSource = Literal["provided", "computed", "none"]


class Priced(NamedTuple):
    """Canonical usage and cost of one observation. Money in USD, exact to 12 decimal places."""

    usage: dict[str, int]  # disjoint keys plus "total"; empty where nothing is known
    usage_source: UsageSource
    cost: dict[str, Decimal]  # by usage key plus "total"; empty where unknown
    total_cost: Decimal | None  # None where unknown, never 0 for that reason
    cost_source: CostSource
    price_id: str  # which price of which book was used
    priced_model: str  # the book's name of the model
    flags: tuple[str, ...]
    usage_rule: str = ""  # how the usage was read from what was received, or how it was estimated


UNPRICED = Priced({}, "none", {}, None, "none", "", "", ())


class Pricer(Protocol):
    """How the fold asks for prices; pure, so that the same fields always cost the same under one epoch."""

    epoch: int  # numbers the price books; rows made under a higher one replace those of a lower one

    def __call__(self, project_id: str, fields: Fields, start_time: Micros) -> Priced:
        """Price one observation by its merged fields and its start time, which selects dated prices."""
