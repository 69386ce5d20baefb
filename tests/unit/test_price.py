"""The cost of one observation: given, computed or unknown, exact to twelve places."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

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
