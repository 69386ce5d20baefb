"""Which price a model has at a time, and that clients' names cannot fill the memory."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

from pipeline.cost.book import MAX_NAME, Price, PriceBook
from pipeline.events.model import Micros


def at(year: int, month: int = 1, day: int = 1) -> Micros:
    return Micros(int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000)


def model(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices)


def book(*models: ModelInfo) -> PriceBook:
    here = Provider(id="here", name="Here", api_pattern="", models=list(models))
    here.model_match = ClauseEquals("m")
    return PriceBook(DataSnapshot([here], False))


def per_million(price: Price | None, key: str, input_tokens: int = 0) -> Decimal | None:
    assert price is not None
    unit = price.per_token(key, input_tokens)
    return None if unit is None else unit * 1_000_000


BUNDLED = PriceBook()


@pytest.mark.parametrize("name", ["gpt-4o", "GPT-4o", "openai/gpt-4o", "somebody/openai/gpt-4o"])
def test_a_model_is_found_with_and_without_a_provider_in_front(name: str) -> None:
    price = BUNDLED.price(name, at(2024, 10, 15))
    assert price is not None
    assert (price.id, price.model) == ("genai-prices:openai/gpt-4o#0", "gpt-4o")


@pytest.mark.parametrize(
    ("when", "input_price", "output_price"), [(at(2024, 6), 5, 15), (at(2024, 8, 6), 2.5, 10), (at(2024, 10), 2.5, 10)]
)
def test_gpt_4o_costs_what_it_cost_at_the_time(when: Micros, input_price: float, output_price: float) -> None:
    price = BUNDLED.price("gpt-4o", when)
    assert (per_million(price, "input"), per_million(price, "output")) == (input_price, output_price)


@pytest.mark.parametrize("name", ["nobody-knows-me", "", "/", "a/", "openai/", "x" * (MAX_NAME + 1), "\x00", "ü/ß"])
def test_an_unknown_name_has_no_price(name: str) -> None:
    assert BUNDLED.price(name, at(2026)) is None


def test_later_entries_of_a_model_win_from_their_day_on() -> None:
    old, new = ModelPrice(input_mtok=Decimal(4)), ModelPrice(input_mtok=Decimal(2))
    dated = book(
        model("m", [ConditionalPrice(prices=old), ConditionalPrice(StartDateConstraint(date(2025, 3, 1)), prices=new)])
    )
    before, after = dated.price("m", Micros(at(2025, 3) - 1)), dated.price("m", at(2025, 3))
    assert (per_million(before, "input"), per_million(after, "input")) == (4, 2)
    assert before is not None
    assert after is not None
    assert (before.id, after.id) == ("genai-prices:here/m#0", "genai-prices:here/m#1")


def test_a_tier_prices_all_tokens_once_the_input_is_above_its_start() -> None:
    tiers = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    price = book(model("m", ModelPrice(input_mtok=tiers))).price("m", at(2026))
    assert [per_million(price, "input", tokens) for tokens in (0, 200_000, 200_001)] == [1, 1, 2]


def test_a_kind_of_token_without_its_own_price_costs_what_its_whole_costs() -> None:
    price = book(model("m", ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(9)))).price("m", at(2026))
    keys = ("input_cached", "input_cache_write_1h", "input_audio", "output_reasoning", "my_custom_units")
    assert [per_million(price, key) for key in keys] == [3, 3, 3, 9, None]


def test_names_that_clients_make_up_are_not_remembered_for_ever() -> None:
    snapshot = DataSnapshot([Provider(id="here", name="Here", api_pattern="")], False)
    made = PriceBook(snapshot)
    for number in range(50):
        assert made.price(f"made-up-{number}", at(2026)) is None
    assert not snapshot._provider_misses
    assert not snapshot._lookup_cache
