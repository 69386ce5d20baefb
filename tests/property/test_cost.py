"""Money and tokens, whatever a client sends: parts add up, nothing is negative, what is unknown is None."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.book import PRICE_KEYS, PriceBook
from pipeline.cost.price import PLACES, ObservationPricer
from pipeline.cost.usage import FLAT, INCLUDED, NESTED, TOTALS, normalise
from pipeline.events.model import Fields, Micros

BOOK = PriceBook()
PRICE = ObservationPricer(BOOK)
MODELS = st.sampled_from(["gpt-4o", "claude-3-5-sonnet-20241022", "gemini-2.5-pro", "o1", "deepseek-chat"])
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)).map(
    lambda when: Micros(int(when.timestamp() * 1_000_000))
)
SPELLINGS = [*FLAT, *INCLUDED, *(f"{prefix}.{name}" for prefix, (_, names) in NESTED.items() for name in names)]
COUNTS = st.integers(0, 10_000_000)
USAGE = st.dictionaries(
    st.sampled_from([*SPELLINGS, *TOTALS, "my_units", "odd.key"]) | st.text(max_size=5), COUNTS, max_size=8
)
AMOUNTS = st.decimals(0, 999_999, allow_nan=False, places=12)


def fields(**given_fields: Any) -> Fields:
    return cast(Fields, given_fields)


@given(USAGE)
def test_usage_is_disjoint_and_adds_up_unless_a_total_was_given(given_usage: dict[str, int]) -> None:
    usage, flags = normalise(given_usage)
    parts = {key: count for key, count in usage.items() if key != "total"}
    assert all(count >= 0 for count in usage.values())
    assert bool(given_usage) >= bool(usage)
    if not TOTALS & given_usage.keys():
        assert usage.get("total", 0) == sum(parts.values())
    elif parts and usage["total"] != sum(parts.values()):
        assert "total_mismatch" in flags


@given(st.dictionaries(st.sampled_from(SPELLINGS), COUNTS, max_size=8), st.randoms())
def test_the_order_of_the_keys_does_not_matter(given_usage: dict[str, int], random: Any) -> None:
    shuffled = list(given_usage.items())
    random.shuffle(shuffled)
    assert normalise(dict(shuffled)) == normalise(given_usage)


@given(MODELS, USAGE, TIMES)
def test_a_computed_cost_is_tokens_times_price_and_its_parts_are_the_total(
    model: str, usage: dict[str, int], at: Micros
) -> None:
    call, price = PRICE(fields(model=model, usage=usage), at), BOOK.price(model, at)
    assert price is not None
    parts = {key: amount for key, amount in call.cost.items() if key != "total"}
    if call.total_cost is None:
        assert (call.cost, call.cost_source) == ({}, "none")
        return
    assert call.total_cost == call.cost["total"] == sum(parts.values())
    input_tokens = sum(count for key, count in call.usage.items() if key.startswith("input"))
    for key, amount in parts.items():
        unit = price.per_token(key, input_tokens)
        assert key in PRICE_KEYS
        assert unit is not None
        assert amount >= 0
        assert abs(amount - unit * call.usage[key]) <= PLACES / 2


@given(st.dictionaries(st.sampled_from(["input", "output", "mine"]), AMOUNTS, min_size=1), TIMES)
def test_given_parts_are_the_total(cost: dict[str, Decimal], at: Micros) -> None:
    call = PRICE(fields(cost=cost), at)
    assert call.total_cost == sum(cost.values())
    assert (call.cost_source, call.price_id) == ("provided", "")


@given(st.dictionaries(st.sampled_from(["input", "total"]), AMOUNTS, max_size=1), AMOUNTS, MODELS, USAGE, TIMES)
def test_a_given_total_is_never_changed(
    cost: dict[str, Decimal], total: Decimal, model: str, usage: dict[str, int], at: Micros
) -> None:
    assert PRICE(fields(cost={**cost, "total": total}, model=model, usage=usage), at).total_cost == total


@given(st.text(max_size=30).map("no-such-model-{}".format), USAGE, TIMES)
def test_an_unknown_model_costs_none_and_never_zero(model: str, usage: dict[str, int], at: Micros) -> None:
    call = PRICE(fields(model=model, usage=usage), at)
    assert (call.total_cost, call.cost, call.cost_source) == (None, {}, "none")


@given(st.text(max_size=40), TIMES)
def test_any_name_at_any_time_is_answered(model: str, at: Micros) -> None:
    price = BOOK.price(model, at)
    assert price is None or price.model
