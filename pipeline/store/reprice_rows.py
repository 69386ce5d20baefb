"""Rows that re-pricing writes: the history of costs, and values on their way into rows that keep all else."""

from typing import NamedTuple

from pipeline.store.rows import (
    Count,
    CountMap,
    Expiry,
    MaybeMoney,
    MaybeTotal,
    MoneyMap,
    SmallCount,
    Text,
    Time,
    Word,
    Words,
)


class CostHistoryRow(NamedTuple):
    """What an observation cost before and after, in `cost_history_rows`."""

    project_id: Word
    trace_id: Text
    observation_id: Text
    start_time: Time
    model: Word
    old_cost: MoneyMap
    new_cost: MoneyMap
    old_total_cost: MaybeMoney
    new_total_cost: MaybeMoney
    old_price_id: Word
    new_price_id: Word
    epoch: SmallCount
    reason: Word
    repriced_at: Time
    old_version: Count
    new_version: Count
    expires_at: Expiry


class RepriceValueRow(NamedTuple):
    """New values of an observation, or of a trace where `observation_id` is empty, in `reprice_values`."""

    run: Text
    piece: SmallCount
    project_id: Text
    trace_id: Text
    observation_id: Text
    usage: CountMap
    usage_rule: Word
    cost: MoneyMap
    total_cost: MaybeTotal
    cost_source: Word
    price_id: Word
    priced_model: Word
    flags: Words
    subtree_cost: MaybeTotal
    subtree_tokens: Count
    old_version: Count
    new_version: Count
