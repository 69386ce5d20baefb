"""Usage and cost as Langfuse's clients send them: three generations of shapes, kept as received.

Which keys include which (cached tokens inside input tokens or beside them) is not decided here: the map keeps the
client's keys, nested details joined by a dot, and pipeline.cost makes them canonical.
"""

from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from pipeline.events.values import to_usd

MAX_UNITS = 2**63 - 1
Cost = dict[str, Decimal]


class LegacyUsage(NamedTuple):
    """The deprecated `usage` object holds counts and costs at once."""

    units: dict[str, int]
    cost: Cost


_COST_KEYS = {"inputCost": "input", "outputCost": "output", "totalCost": "total"}


def _count(value: object) -> int | None:
    """A non-negative whole number, also written as a string or as 3.0; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not value.isdecimal() or len(value) > 19:
            return None
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= MAX_UNITS else None


def usage_details(value: object) -> dict[str, int]:
    """Counts by name, one level of nesting flattened; what is no count is left out, as Langfuse does.

    Raises ValueError for what is no object.
    """
    if not isinstance(value, dict):
        raise ValueError("usage details are an object")
    flat: dict[str, int] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update({f"{key}.{k}": n for k, v in item.items() if (n := _count(v)) is not None})
        elif (count := _count(item)) is not None:
            flat[key] = count
    return flat


def cost_details(value: object) -> Cost:
    """Amounts by name, US dollars. Raises ValueError for what is no object, or no amount."""
    if not isinstance(value, dict):
        raise ValueError("cost details are an object")
    return {str(key): to_usd(item) for key, item in value.items() if item is not None}


def _legacy(value: object) -> LegacyUsage:
    if not isinstance(value, dict):
        raise ValueError("usage is an object")
    costs = {name: to_usd(item) for key, name in _COST_KEYS.items() if (item := value.get(key)) is not None}
    counts: dict[str, Any] = {key: item for key, item in value.items() if key not in _COST_KEYS and key != "unit"}
    return LegacyUsage(usage_details(counts), costs)


Usage = Annotated[LegacyUsage, BeforeValidator(_legacy)]
UsageDetails = Annotated[dict[str, int], BeforeValidator(usage_details)]
CostDetails = Annotated[Cost, BeforeValidator(cost_details)]
