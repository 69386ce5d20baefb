"""New costs of a trace from its stored rows: sums follow, counts of events stay, what holds is left alone."""

from decimal import Decimal
from typing import Any

from pipeline.cost.book import PriceBook
from pipeline.cost.document import parse_document
from pipeline.cost.price import ObservationPricer
from pipeline.ops.reprice.rows import Observation, Stored, Trace
from pipeline.ops.reprice.values import EPOCH_STEP, revise

PRICE = ObservationPricer(
    PriceBook(parse_document("prices: [{id: new, match: 'm', per_million: {input: 4, output: 8}}]"), epoch=3)
)
OLD = Decimal("0.00002")


def observation(id_: str, parent: str = "", depth: int = 0, **changes: Any) -> Observation:
    row = Observation(
        "t", id_, parent, depth, 1_800_000_000_000_000, "m", "", {}, {"input": 10, "total": 10}, {"input": 10},
        "provided", "disjoint", {"input": OLD, "total": OLD}, OLD, "computed", "entry:old", "old", [], OLD, 10, 6,
    )  # fmt: skip
    return row._replace(**changes)


def trace(**changes: Any) -> Trace:
    return Trace("t", {"input": 10, "total": 10}, {"input": OLD, "total": OLD}, OLD, 7)._replace(**changes)


NEW = Decimal("0.00004")
PLAIN = {"model": "", "usage": {}, "usage_provided": {}, "usage_source": "none", "usage_rule": "", "cost": {},
         "total_cost": None, "cost_source": "none", "price_id": "", "priced_model": ""}  # fmt: skip


def test_a_call_its_ancestors_and_its_trace_are_written_under_the_new_epoch() -> None:
    rows = [observation("a", **PLAIN), observation("b", "a", 1, **PLAIN), observation("c", "b", 2, flags=["orphan"])]
    revised = revise(Stored(trace(), rows), "p", PRICE)
    assert [each.old.observation_id for each in revised.observations] == ["a", "b", "c"]
    assert {each.subtree_cost for each in revised.observations} == {NEW}
    assert {each.new_version for each in revised.observations} == {3 * EPOCH_STEP + 6}
    assert revised.observations[2].flags == ["orphan"]
    assert revised.trace is not None
    assert revised.trace.cost == {"input": NEW, "total": NEW}
    assert revised.trace.new_version == 3 * EPOCH_STEP + 7


def test_what_repeats_its_childs_usage_is_in_no_sum() -> None:
    rows = [observation("a", flags=["duplicate_usage"]), observation("b", "a", 1)]
    revised = revise(Stored(trace(), rows), "p", PRICE)
    assert [(each.priced.total_cost, each.subtree_cost) for each in revised.observations] == [(NEW, NEW), (NEW, NEW)]
    assert revised.trace is not None
    assert revised.trace.cost["total"] == NEW


def test_a_row_of_the_epoch_or_a_later_one_is_left_alone() -> None:
    for epoch in (3, 4):
        rows = [observation("a", row_version=epoch * EPOCH_STEP + 6)]
        revised = revise(Stored(trace(row_version=epoch * EPOCH_STEP + 7), rows), "p", PRICE)
        assert (revised.priced, revised.observations, revised.trace) == ([], [], None)


def test_a_trace_row_that_a_broken_run_left_behind_is_written() -> None:
    done = observation("a", row_version=3 * EPOCH_STEP + 6, cost={"input": NEW, "total": NEW}, total_cost=NEW,
                       subtree_cost=NEW)  # fmt: skip
    revised = revise(Stored(trace(), [done]), "p", PRICE)
    assert revised.observations == []
    assert revised.trace is not None
    assert revised.trace.cost == {"input": NEW, "total": NEW}


def test_a_given_cost_stays_and_counted_tokens_stay_as_they_were_counted() -> None:
    given = observation("a", cost_source="provided", cost={"total": OLD}, price_id="")
    counted = observation("b", usage_source="estimated", usage_rule="bytes/4", usage_provided={})
    revised = revise(Stored(trace(), [given, counted]), "p", PRICE)
    assert [priced.total_cost for _, priced in revised.priced] == [OLD, NEW]
    assert [priced.usage_rule for _, priced in revised.priced] == ["disjoint", "bytes/4"]


def test_a_model_that_lost_its_price_becomes_unknown_and_never_zero() -> None:
    revised = revise(Stored(trace(), [observation("a", model="nobody")]), "p", PRICE)
    assert [(each.priced.total_cost, each.priced.cost, each.subtree_cost) for each in revised.observations] == [
        (None, {}, None)
    ]
    assert revised.trace is not None
    assert revised.trace.cost == {}


def test_usage_is_read_anew_by_todays_rules() -> None:
    row = observation("a", usage_provided={"prompt_tokens": 10, "prompt_tokens_details.cached_tokens": 4})
    (changed,) = revise(Stored(trace(), [row]), "p", PRICE).observations
    assert changed.priced.usage == {"input": 6, "input_cached": 4, "total": 10}


def test_a_trace_without_a_row_yet_is_left_to_its_worker() -> None:
    assert revise(Stored(None, [observation("a")]), "p", PRICE).trace is None
