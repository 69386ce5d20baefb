"""Money and tokens, whatever a client sends: parts add up, nothing is negative, what is unknown is None."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.book import PriceBook
from pipeline.cost.price import ObservationPricer, input_size
from pipeline.cost.rates import KINDS, PLACES
from pipeline.cost.usage import normalise
from pipeline.cost.usage_rules import NOT_TOKENS, PREFIXES, RULES, SPELLINGS, WHOLES
from pipeline.events.model import Fields, Micros

BOOK = PriceBook()
PRICE = ObservationPricer(BOOK)
MODELS = st.sampled_from(["gpt-4o", "claude-3-5-sonnet-20241022", "gemini-2.5-pro", "o1", "deepseek-chat"])
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)).map(
    lambda when: Micros(int(when.timestamp() * 1_000_000))
)
TOTALS = {key for key, name in WHOLES.items() if name == "total"}
KEYS = sorted({*WHOLES, *SPELLINGS, *(key for rule in RULES for key in (*rule.inside, *rule.beside))} - TOTALS)
COUNTS = st.integers(0, 10_000_000)
USAGE = st.dictionaries(
    st.sampled_from([*KEYS, *TOTALS, "my_units", "odd.key"]) | st.text(max_size=5), COUNTS, max_size=8
)
AMOUNTS = st.decimals(0, 999_999, allow_nan=False, places=12)


def fields(**given_fields: Any) -> Fields:
    return cast(Fields, given_fields)


@given(USAGE)
def test_usage_is_disjoint_and_adds_up_unless_a_total_was_given(given_usage: dict[str, int]) -> None:
    usage, flags, _ = normalise(given_usage)
    parts = {key: count for key, count in usage.items() if key != "total" and key not in NOT_TOKENS}
    assert all(count >= 0 for count in usage.values())
    assert bool(given_usage) >= bool(usage)
    if not TOTALS & given_usage.keys():
        assert usage.get("total", 0) == sum(parts.values())
    elif parts and usage["total"] != sum(parts.values()):
        assert "total_mismatch" in flags


@given(st.dictionaries(st.sampled_from(KEYS), COUNTS, max_size=8), st.randoms())
def test_the_order_of_the_keys_does_not_matter(given_usage: dict[str, int], random: Any) -> None:
    shuffled = list(given_usage.items())
    random.shuffle(shuffled)
    assert normalise(dict(shuffled)) == normalise(given_usage)


@given(USAGE, st.sampled_from(PREFIXES))
def test_what_instrumentation_puts_in_front_changes_the_rule_only(given_usage: dict[str, int], prefix: str) -> None:
    usage, _, _ = normalise({prefix + key: count for key, count in given_usage.items()})
    parts = {key: count for key, count in usage.items() if key != "total" and key not in NOT_TOKENS}
    assert all(count >= 0 for count in usage.values())
    if not TOTALS & given_usage.keys():
        assert usage.get("total", 0) == sum(parts.values())


@given(USAGE, MODELS)
def test_a_usage_that_is_sent_again_as_it_was_stored_stays_as_it_is(given_usage: dict[str, int], model: str) -> None:
    once, flags, _ = normalise(given_usage, model)
    if not flags and once.keys() <= {*KINDS, "total"}:
        assert normalise(once, model)[:2] == (once, ())


@given(MODELS, USAGE, TIMES)
def test_a_computed_cost_is_tokens_times_price_and_its_parts_are_the_total(
    model: str, usage: dict[str, int], at: Micros
) -> None:
    call, price = PRICE("p", fields(model=model, usage=usage), at), BOOK.price("p", model, at, fields())
    assert price is not None
    parts = {key: amount for key, amount in call.cost.items() if key != "total"}
    if call.total_cost is None:
        assert (call.cost, call.cost_source) == ({}, "none")
        return
    assert call.total_cost == call.cost["total"] == sum(parts.values())
    input_tokens = input_size(call.usage)
    for key, amount in parts.items():
        unit = price.rates.unit(key, input_tokens)
        assert key in KINDS
        assert unit is not None
        assert amount >= 0
        count = call.usage.get(key, 1 if key == "requests" else call.usage["total"])
        assert abs(amount - unit.price * count / unit.per) <= PLACES / 2
    assert all(key in parts or key not in price.rates.units for key in call.usage)


@given(st.dictionaries(st.sampled_from(["input", "output", "mine"]), AMOUNTS, min_size=1), TIMES)
def test_given_parts_are_the_total(cost: dict[str, Decimal], at: Micros) -> None:
    call = PRICE("p", fields(cost=cost), at)
    assert call.total_cost == sum(cost.values())
    assert (call.cost_source, call.price_id) == ("provided", "")


@given(st.dictionaries(st.sampled_from(["input", "total"]), AMOUNTS, max_size=1), AMOUNTS, MODELS, USAGE, TIMES)
def test_a_given_total_is_never_changed(
    cost: dict[str, Decimal], total: Decimal, model: str, usage: dict[str, int], at: Micros
) -> None:
    assert PRICE("p", fields(cost={**cost, "total": total}, model=model, usage=usage), at).total_cost == total


@given(st.text(max_size=30).map("no-such-model-{}".format), USAGE, TIMES)
def test_an_unknown_model_costs_none_and_never_zero(model: str, usage: dict[str, int], at: Micros) -> None:
    call = PRICE("p", fields(model=model, usage=usage), at)
    assert (call.total_cost, call.cost, call.cost_source) == (None, {}, "none")


@given(st.text(max_size=40), TIMES)
def test_any_name_at_any_time_is_answered(model: str, at: Micros) -> None:
    price = BOOK.price("p", model, at, fields())
    assert price is None or price.model
