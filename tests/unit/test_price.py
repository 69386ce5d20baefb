"""The cost of one observation: given, computed or unknown, exact to twelve places."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from pipeline.cost.book import PriceBook
from pipeline.cost.document import parse_document
from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced

PRICE = ObservationPricer()


def priced(year: int = 2024, month: int = 10, **fields: Any) -> Priced:
    at = int(datetime(year, month, 15, tzinfo=UTC).timestamp()) * 1_000_000
    return PRICE("p", cast(Fields, fields), Micros(at))


RAG_CALL = {"model": "gpt-4o", "usage": {"input": 450, "output": 120}}


def test_the_explainers_call_costs_what_gpt_4o_costs_in_october_2024() -> None:
    call = priced(**RAG_CALL)
    assert call.cost == {"input": Decimal("0.001125"), "output": Decimal("0.0012"), "total": Decimal("0.002325")}
    assert (call.total_cost, call.cost_source, call.usage_source) == (Decimal("0.002325"), "computed", "provided")
    assert (call.priced_model, call.price_id) == ("gpt-4o", "genai-prices:openai/gpt-4o#0")


def test_the_same_call_cost_more_in_june_2024() -> None:
    assert priced(2024, 6, **RAG_CALL).total_cost == Decimal("0.00405")


def test_a_given_cost_wins_over_the_price_book() -> None:
    call = priced(**RAG_CALL, cost={"total": Decimal("0.004")})
    assert (call.cost, call.total_cost) == ({"total": Decimal("0.004")}, Decimal("0.004"))
    assert (call.cost_source, call.price_id, call.priced_model) == ("provided", "", "gpt-4o")


def test_given_parts_without_a_total_add_up() -> None:
    assert priced(cost={"input": Decimal("0.1"), "mine": Decimal("0.2")}).total_cost == Decimal("0.3")


def test_a_given_zero_is_known_and_not_missing() -> None:
    call = priced(cost={"total": Decimal(0)})
    assert (call.total_cost, call.cost_source) == (0, "provided")


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "nobody-knows-me", "usage": {"input": 1}},
        {"model": "", "usage": {"input": 1}},
        {"usage": {"input": 1}},
        {"model": "gpt-4o"},
        {"model": "gpt-4o", "usage": {"total": 100}},
        {"model": "gpt-4o", "usage": {"my_custom_units": 100}},
    ],
)
def test_a_cost_that_cannot_be_known_is_none_and_never_zero(fields: dict[str, Any]) -> None:
    call = priced(**fields)
    assert (call.total_cost, call.cost, call.cost_source, call.price_id) == (None, {}, "none", "")


def test_an_observation_without_model_usage_and_cost_is_not_priced() -> None:
    assert priced(name="span") is UNPRICED


def test_cached_tokens_are_priced_apart() -> None:
    usage = {"prompt_tokens": 1000, "prompt_tokens_details.cached_tokens": 600, "completion_tokens": 0}
    call = priced(model="gpt-4o", usage=usage)
    assert call.cost == {
        "input": Decimal("0.001"), "input_cached": Decimal("0.00075"), "output": 0, "total": Decimal("0.00175"),
    }  # fmt: skip


def test_an_absurd_count_of_tokens_is_priced_and_does_not_raise() -> None:
    """The store refuses such a row alone; an exception here would stop the worker for ever."""
    call = priced(model="o1-pro", usage={"output": 2**63 - 1, "my_own": 2**63 - 1})
    assert call.total_cost is not None
    assert call.total_cost > 10**15


OWN = """
prices:
  - {id: fee, match: fee, per_million: {input: 1}, per_unit: {requests: 0.01, searches: 0.02, images: 0.04}}
  - {id: third, match: third, per_million: {input: 0.3333333, output: 1}}
"""


def own_price(**fields: Any) -> Priced:
    return ObservationPricer(PriceBook(parse_document(OWN)))("p", cast(Fields, fields), Micros(10**15))


def test_a_fee_is_due_for_each_request_and_for_each_unit() -> None:
    call = own_price(model="fee", usage={"input": 10, "searches": 2, "images": 1})
    assert call.cost == {
        "input": Decimal("0.00001"), "searches": Decimal("0.04"), "images": Decimal("0.04"),
        "requests": Decimal("0.01"), "total": Decimal("0.09001"),
    }  # fmt: skip
    assert call.usage["total"] == 10
    assert own_price(model="fee", usage={"input": 10, "requests": 3}).cost["requests"] == Decimal("0.03")


def test_a_part_is_rounded_to_twelve_places_half_to_even_and_the_total_is_the_sum_of_parts() -> None:
    call = own_price(model="third", usage={"input": 5, "output": 3})
    assert call.cost["input"] == Decimal("0.000001666666")  # 0.0000016666665
    assert own_price(model="third", usage={"input": 15}).cost["input"] == Decimal("0.000005000000")  # 0.0000049999995
    assert call.total_cost == call.cost["input"] + call.cost["output"]


def test_tokens_that_have_no_price_are_flagged_and_the_rest_is_charged() -> None:
    call = own_price(model="third", usage={"input": 5, "mystery": 7})
    assert call.flags == ("partly_priced",)
    assert set(call.cost) == {"input", "total"}


def test_a_total_alone_is_input_where_only_input_is_sold() -> None:
    assert priced(model="text-embedding-3-small", usage={"total": 1000}).total_cost == Decimal("0.00002")


def test_a_given_total_that_is_not_the_sum_of_the_given_parts_stays_and_is_flagged() -> None:
    call = priced(cost={"input": Decimal(1), "output": Decimal(2), "total": Decimal(5)})
    assert (call.total_cost, call.flags) == (Decimal(5), ("cost_mismatch",))
