"""Usage and cost as Langfuse's clients send them: three generations of shapes, kept as received.

Which keys include which (cached tokens inside input tokens or beside them) is not decided here: the map keeps the
client's keys, nested details joined by a dot, and pipeline.cost makes them canonical.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from pipeline.events.values import to_usd

MAX_UNITS = 2**63 - 1
DEEPEST = 2  # levels of details inside details
Cost = dict[str, Decimal]


class LegacyUsage(NamedTuple):
    """The deprecated `usage` object holds counts and costs at once."""

    units: dict[str, int]
    cost: Cost


_COSTS = {"inputCost": "input", "outputCost": "output", "totalCost": "total"}
COST_KEYS = frozenset(_COSTS)


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
    """Counts by name, nested details flattened with a dot; what is no count is left out, as Langfuse does.

    Raises ValueError for what is no object.
    """
    if not isinstance(value, dict):
        raise ValueError("usage details are an object")
    flat = {key: count for key, count in value.items() if type(count) is int and 0 <= count <= MAX_UNITS}
    if len(flat) == len(value):
        return flat  # nothing but counts, as nearly always
    flat = {}
    _flatten(value, "", flat, DEEPEST)
    return flat


def _flatten(value: dict[str, Any], prefix: str, flat: dict[str, int], levels: int) -> None:
    for key, item in value.items():
        if isinstance(item, dict):
            if levels:
                _flatten(item, f"{prefix}{key}.", flat, levels - 1)
        elif isinstance(item, list):
            flat.update({f"{prefix}{key}.{name}": count for name, count in _by_modality(item)})
        elif (count := _count(item)) is not None:
            flat[f"{prefix}{key}"] = count


def _by_modality(items: list[Any]) -> Iterator[tuple[str, int]]:
    """Google's lists of {modality, tokenCount}."""
    for item in items:
        if isinstance(item, dict) and isinstance(modality := item.get("modality"), str):
            count = _count(item.get("tokenCount", item.get("token_count")))
            if count is not None:
                yield modality, count


def cost_details(value: object) -> Cost:
    """Amounts by name, US dollars. Raises ValueError for what is no object, or no amount."""
    if not isinstance(value, dict):
        raise ValueError("cost details are an object")
    return {str(key): to_usd(item) for key, item in value.items() if item is not None}


def legacy_usage(value: object) -> LegacyUsage:
    """Counts and costs of the deprecated object. Raises ValueError for what is no object, or no amount."""
    if not isinstance(value, dict):
        raise ValueError("usage is an object")
    costs = {name: to_usd(item) for key, name in _COSTS.items() if (item := value.get(key)) is not None}
    counts: dict[str, Any] = {key: item for key, item in value.items() if key not in COST_KEYS and key != "unit"}
    return LegacyUsage(usage_details(counts), costs)


Usage = Annotated[LegacyUsage, BeforeValidator(legacy_usage)]
UsageDetails = Annotated[dict[str, int], BeforeValidator(usage_details)]
CostDetails = Annotated[Cost, BeforeValidator(cost_details)]
