"""New costs of one trace from its stored rows: pure, and the same as the fold would write under the new book.

Usage is read anew from what the client sent, so a mended usage rule takes effect, too; what was counted from texts
stays as it was counted. A cost that the client gave stays.
Sums over the tree and the trace leave out an observation that repeats a child's usage, as its flag says.
A row that comes out as it is stored is not written again.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from pipeline.cost.price import ObservationPricer, compute
from pipeline.events.flags import Flag
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import CostSource, Priced, UsageSource
from pipeline.ops.reprice.rows import Observation, Stored, Trace
from pipeline.store.rows import EPOCH_STEP

PRICING_FLAGS = frozenset({Flag.TOTAL_MISMATCH, Flag.NEGATIVE_USAGE, Flag.COST_MISMATCH, Flag.PARTLY_PRICED})
REPEATS = Flag.DUPLICATE_USAGE


class Changed(NamedTuple):
    """An observation whose row has to be written again."""

    old: Observation
    priced: Priced
    flags: list[str]
    subtree_cost: Decimal | None
    subtree_tokens: int
    new_version: int


class ChangedTrace(NamedTuple):
    """A trace whose row has to be written again."""

    old: Trace
    usage: dict[str, int]
    cost: dict[str, Decimal]
    new_version: int


class Revised(NamedTuple):
    """What re-pricing a trace comes to: its observations of older epochs with their new price, and what to write."""

    priced: list[tuple[Observation, Priced]]
    observations: list[Changed]
    trace: ChangedTrace | None


def revise(stored: Stored, project_id: str, price: ObservationPricer) -> Revised:
    """Price a whole trace again, so that its sums stand on one book. Rows of the book's epoch are right already."""
    repriced: list[tuple[Observation, Priced]] = []
    now: list[Priced] = []
    for row in stored.observations:
        if row.model and row.row_version < price.epoch * EPOCH_STEP:
            priced = _price(row, project_id, price)
            repriced.append((row, priced))
        else:
            priced = _as_stored(row)
        now.append(priced)
    changed = list(_changed(stored.observations, now, price.epoch))
    return Revised(repriced, changed, _trace(stored, now, changed, price.epoch))


def _price(row: Observation, project_id: str, price: ObservationPricer) -> Priced:
    given: dict[str, object] = {
        "model": row.model, "model_parameters": row.model_parameters, "metadata": row.context,
        "usage": row.usage_provided,
    }  # fmt: skip
    if row.cost_source == "provided":
        given["cost"] = row.cost
    fields = cast(Fields, given)
    if row.usage_source != "estimated":
        return price(project_id, fields, Micros(row.started))
    found = price.book.price(project_id, row.model, Micros(row.started), fields)
    cost, flags = compute(row.usage, found) if found else ({}, ())
    name = found.model if found else ""
    if found is None or not cost:
        return Priced(row.usage, "estimated", {}, None, "none", "", name, (), row.usage_rule)
    return Priced(row.usage, "estimated", cost, cost["total"], "computed", found.id, name, flags, row.usage_rule)


def _as_stored(row: Observation) -> Priced:
    flags = tuple(sorted(PRICING_FLAGS & set(row.flags)))
    return Priced(
        row.usage,
        cast(UsageSource, row.usage_source),
        row.cost,
        row.total_cost,
        cast(CostSource, row.cost_source),
        row.price_id,
        row.priced_model,
        flags,
        row.usage_rule,
    )


def _changed(rows: Sequence[Observation], now: Sequence[Priced], epoch: int) -> Iterator[Changed]:
    sums = _subtrees(rows, now)
    for row, priced in zip(rows, now, strict=True):
        flags = sorted({*(flag for flag in row.flags if flag not in PRICING_FLAGS), *priced.flags})
        cost, tokens = sums[row.observation_id]
        if priced != _as_stored(row) or (cost, tokens) != (row.subtree_cost, row.subtree_tokens):
            yield Changed(row, priced, flags, cost, tokens, _under(epoch, row.row_version))


def _subtrees(rows: Sequence[Observation], now: Sequence[Priced]) -> dict[str, tuple[Decimal | None, int]]:
    """Cost and tokens of each observation with all below it: the deepest first, each into its parent."""
    sums = {
        row.observation_id: (None, 0) if REPEATS in row.flags else (priced.total_cost, priced.usage.get("total", 0))
        for row, priced in zip(rows, now, strict=True)
    }
    for row in sorted(rows, key=lambda row: row.depth, reverse=True):
        if row.parent in sums and row.depth:
            cost, tokens = sums[row.observation_id]
            above, more = sums[row.parent]
            both = above if cost is None else cost if above is None else above + cost
            sums[row.parent] = (both, more + tokens)
    return sums


def _trace(stored: Stored, now: Sequence[Priced], changed: list[Changed], epoch: int) -> ChangedTrace | None:
    """The trace's totals, where an observation changed, now or in a run that was broken off before it came to them."""
    trace = stored.trace
    newer = any(row.row_version >= epoch * EPOCH_STEP for row in stored.observations)
    if trace is None or (trace.row_version >= epoch * EPOCH_STEP and not changed) or not (changed or newer):
        return None
    usage: dict[str, int] = {}
    cost: dict[str, Decimal] = {}
    for row, priced in zip(stored.observations, now, strict=True):
        if REPEATS in row.flags:
            continue
        for key, count in priced.usage.items():
            usage[key] = usage.get(key, 0) + count
        for key, amount in priced.cost.items():
            cost[key] = cost.get(key, Decimal(0)) + amount
    return ChangedTrace(
        trace, dict(sorted(usage.items())), dict(sorted(cost.items())), _under(epoch, trace.row_version)
    )


def _under(epoch: int, row_version: int) -> int:
    """The version of a row made from the same events under a later book."""
    return epoch * EPOCH_STEP + row_version % EPOCH_STEP
