"""Which price a model has at a time, by whose word, and that clients' names cannot fill the memory."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

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

from pipeline.cost import book as book_module
from pipeline.cost.base import MAX_NAME, BaseBook
from pipeline.cost.book import Price, PriceBook
from pipeline.cost.document import PriceDocument, PriceDocumentError, check_document, parse_document
from pipeline.events.model import Fields, Micros


def at(year: int, month: int = 1, day: int = 1) -> Micros:
    return Micros(int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000)


def model(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices)


def book(*models: ModelInfo) -> PriceBook:
    here = Provider(id="here", name="Here", api_pattern="", models=list(models))
    here.model_match = ClauseEquals("m")
    return PriceBook(base=BaseBook(DataSnapshot([here], False)))


def per_million(price: Price | None, key: str, input_tokens: int = 0) -> Decimal | None:
    assert price is not None
    unit = price.rates.unit(key, input_tokens)
    return None if unit is None else unit.price * 1_000_000 / unit.per


def look(book: PriceBook, name: str, when: Micros, project: str = "p", **fields: Any) -> Price | None:
    return book.price(project, name, when, Fields(**fields))  # type: ignore[typeddict-item]


BUNDLED = PriceBook()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("GPT-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("openai:gpt-4o", "openai/gpt-4o"),
        ("somebody/openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("azure/gpt-4o", "azure/gpt-4o"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "aws/regional.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("bedrock/us-east-1/amazon.nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            "aws/amazon.nova-pro-v1:0",
        ),
        ("claude-3-5-sonnet@20240620", "anthropic/claude-3-5-sonnet"),
        ("publishers/google/models/gemini-2.0-flash", "google/gemini-2.0-flash"),
        ("models/gemini-1.5-pro", "google/gemini-1.5-pro"),
        ("text-embedding-3-small", "openai/text-embedding-3-small"),
        ("chatgpt-4o-latest", "openai/chatgpt-4o-latest"),
        ("anthropic/claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet"),
    ],
)
def test_a_model_is_found_as_clients_write_it(name: str, found: str) -> None:
    price = look(BUNDLED, name, at(2024, 10, 15))
    assert price is not None
    assert price.id.partition(":")[2].rpartition("#")[0] == found


@pytest.mark.parametrize(
    ("when", "input_price", "output_price"), [(at(2024, 6), 5, 15), (at(2024, 8, 6), 2.5, 10), (at(2024, 10), 2.5, 10)]
)
def test_gpt_4o_costs_what_it_cost_at_the_time(when: Micros, input_price: float, output_price: float) -> None:
    price = look(BUNDLED, "gpt-4o", when)
    assert (per_million(price, "input"), per_million(price, "output")) == (input_price, output_price)


@pytest.mark.parametrize(
    ("name", "last", "before", "after"),
    [
        ("gpt-3.5-turbo", at(2023, 6, 13), 2, 1.5),
        ("gpt-3.5-turbo", at(2024, 2, 16), 1.5, 0.5),
        ("text-embedding-ada-002", at(2023, 6, 13), 0.4, 0.1),
        ("o1-mini", at(2025, 1, 31), 3, 1.1),
        ("claude-3-5-haiku-20241022", at(2024, 12, 3), 1, 0.8),
        ("gemini-1.5-flash", at(2024, 8, 12), 0.35, 0.075),
        ("gemini-1.5-pro", at(2024, 10, 1), 3.5, 1.25),
    ],
)
def test_the_supplement_holds_until_its_day(name: str, last: Micros, before: float, after: float) -> None:
    earlier, later = look(BUNDLED, name, Micros(last - 1)), look(BUNDLED, name, last)
    assert per_million(earlier, "input") == Decimal(str(before))
    assert per_million(later, "input") == Decimal(str(after))
    assert earlier is not None
    assert earlier.id.startswith("supplement:")


@pytest.mark.parametrize(
    "name",
    ["nobody-knows-me", "", "/", "a/", "openai/", "x" * (MAX_NAME + 1), "\x00", "ü/ß", "ft:gpt-4o:me::1", "llama-3.1"],
)
def test_an_unknown_name_has_no_price(name: str) -> None:
    assert look(BUNDLED, name, at(2026)) is None


def test_later_entries_of_a_model_win_from_their_day_on() -> None:
    old, new = ModelPrice(input_mtok=Decimal(4)), ModelPrice(input_mtok=Decimal(2))
    dated = book(
        model("m", [ConditionalPrice(prices=old), ConditionalPrice(StartDateConstraint(date(2025, 3, 1)), prices=new)])
    )
    before, after = look(dated, "m", Micros(at(2025, 3) - 1)), look(dated, "m", at(2025, 3))
    assert (per_million(before, "input"), per_million(after, "input")) == (4, 2)
    assert before is not None
    assert after is not None
    assert (before.id, after.id) == ("genai-prices:here/m#0", "genai-prices:here/m#1")


@pytest.mark.parametrize(("tokens", "expected"), [(0, 1), (199_999, 1), (200_000, 1), (200_001, 2), (500_000, 2)])
def test_a_tier_prices_all_tokens_once_the_input_is_above_its_start(tokens: int, expected: int) -> None:
    tiers = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    listed = look(book(model("m", ModelPrice(input_mtok=tiers))), "m", at(2026))
    own = """prices:
    - {id: t, match: m, per_million: {input: 1}, tiers: [{above: 200000, per_million: {input: 2}}]}"""
    assert per_million(listed, "input", tokens) == expected
    assert per_million(look(PriceBook(parse_document(own)), "m", at(2026)), "input", tokens) == expected


def test_a_kind_of_token_without_its_own_price_costs_what_its_whole_costs() -> None:
    price = look(book(model("m", ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(9)))), "m", at(2026))
    keys = ("input_cached", "input_cache_write_1h", "input_audio", "output_reasoning", "my_custom_units")
    assert [per_million(price, key) for key in keys] == [3, 3, 3, 9, None]


@pytest.mark.parametrize(
    ("parameters", "metadata", "input_price"),
    [
        ("", {}, 2.5),
        ('{"service_tier":"default"}', {}, 2.5),
        ('{"service_tier":"priority"}', {}, 4.25),
        ('{"batch":true}', {}, 1.25),
        ("", {"service_tier": "priority"}, 4.25),
        ("", {"processing": "batch"}, 1.25),
        ('{"service_tier":"nobody"}', {}, 2.5),
        ('{"service_tier":', {}, 2.5),
        ('["service_tier"]', {"batch": "no"}, 2.5),
        ('{"service_tier":{"a":1}}', {"service_tier": None}, 2.5),
    ],
)
def test_the_kind_of_request_chooses_the_price(parameters: str, metadata: dict[str, Any], input_price: float) -> None:
    price = look(BUNDLED, "gpt-4o", at(2026, 11), model_parameters=parameters, metadata=metadata)
    assert per_million(price, "input") == Decimal(str(input_price))


OWN = """
prices:
  - {id: all, match: 'my-.*', per_million: {input: 1, output: 2}}
  - {id: spring, match: 'my-llama', from: 2025-03-01, until: 2025-06-01, per_million: {input: 3}}
  - {id: april, match: 'my-llama', from: 2025-04-01, until: 2025-05-01, per_million: {input: 4}}
  - {id: late, match: 'my-llama', from: 2025-04-01, until: 2025-05-01, per_million: {input: 5}}
  - {id: batch, match: 'my-llama', when: {processing: batch}, per_million: {input: 0.5}}
  - {id: theirs, project: q, match: 'my-llama|gpt-4o', per_million: {input: 9}, per_unit: {requests: 0.01}}
  - {id: deployment, match: 'prod-eu', model: azure/gpt-4o, discount: 0.2}
  - {id: cheaper, match: 'own-cheap', per_million: {input: 10}, discount: 0.25}
discounts:
  - {share: 0.1, from: 2026-01-01}
  - {share: 0.05, from: 2026-02-01, until: 2026-03-01}
  - {share: 0.5, project: q}
"""


@pytest.mark.parametrize(
    ("project", "name", "when", "batch", "id_", "input_price"),
    [
        ("p", "my-phi", at(2025), False, "entry:all", 1),
        ("p", "MY-LLAMA", at(2025), False, "entry:all", 1),
        ("p", "my-llama", at(2025, 3), False, "entry:spring", 3),
        ("p", "my-llama", at(2025, 4, 15), False, "entry:late", 5),  # latest start, then the later one written
        ("p", "my-llama", at(2025, 5), False, "entry:spring", 3),
        ("p", "my-llama", at(2025, 6), False, "entry:all", 1),
        ("p", "my-llama", at(2025, 4, 15), True, "entry:batch", 0.5),
        ("q", "my-llama", at(2025, 4, 15), True, "entry:theirs", 9),
        ("q", "gpt-4o", at(2026), False, "entry:theirs", 9),
        ("p", "gpt-4o", at(2025, 12, 31), False, "genai-prices:openai/gpt-4o#0", 2.5),
        ("p", "gpt-4o", at(2026), False, "genai-prices:openai/gpt-4o#0*0.9", 2.25),
        ("p", "gpt-4o", at(2026, 2), False, "genai-prices:openai/gpt-4o#0*0.95", 2.375),
        ("q", "gpt-4o-mini", at(2026), False, "genai-prices:openai/gpt-4o-mini#0*0.45", 0.0675),
        ("p", "prod-eu", at(2025), False, "entry:deployment=genai-prices:azure/gpt-4o#0*0.8", 2),
        ("p", "prod-eu", at(2026), False, "entry:deployment=genai-prices:azure/gpt-4o#0*0.72", 1.8),
        ("p", "own-cheap", at(2026), False, "entry:cheaper", 7.5),
    ],
)
def test_who_sets_the_price(project: str, name: str, when: Micros, batch: bool, id_: str, input_price: float) -> None:
    fields: dict[str, Any] = {"model_parameters": '{"batch":true}'} if batch else {}
    price = look(PriceBook(parse_document(OWN)), name, when, project, **fields)
    assert price is not None
    assert (price.id, per_million(price, "input")) == (id_, Decimal(str(input_price)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices: [{id: a, match: m}]", "either prices"),
        ("prices: [{id: a, match: m, model: x, per_million: {input: 1}}]", "either prices"),
        ("prices: [{id: a, match: '(', per_million: {input: 1}}]", "no regular expression"),
        ("prices: [{id: a, match: 'a{99999999999}', per_million: {input: 1}}]", "no regular expression"),
        ("prices: [{id: a, match: '(a+)+b', per_million: {input: 1}}]", "for ever"),
        ("prices: [{id: a, match: m, per_million: {input: -1}}]", "prices.0.per_million.input"),
        ("prices: [{id: a, match: m, per_million: {input: cheap}}]", "prices.0.per_million.input"),
        ("prices: [{id: a, match: m, per_million: {input: .nan}}]", "prices.0.per_million.input"),
        ("prices: [{id: a, match: m, from: 2025-02-01, until: 2025-02-01, per_million: {input: 1}}]", "before"),
        ("prices: [{id: a, match: m, from: '0001-01-01T00:00:00+14:00', per_million: {input: 1}}]", "prices.0.from"),
        ("prices: [{id: a, match: m, until: '9999-12-31T23:59:59-14:00', per_million: {input: 1}}]", "prices.0.until"),
        ("prices: [{id: a, match: m, per_million: {input: 1}, price: 3}]", "prices.0.price"),
        ("prices: [{id: a, match: m, per_million: {input: 1}}, {id: a, match: n, model: x}]", "come twice: a"),
        ("prices: {", "no YAML"),
        ("prices: &a [*a]", "no YAML"),
        ("- 1", "wrong at"),
        ("discounts: [{share: 1.5}]", "discounts.0.share"),
        ("x" * 5_000_001, "larger than"),
    ],
)
def test_a_slip_in_a_document_is_named(text: str, said: str) -> None:
    with pytest.raises(PriceDocumentError, match=said):
        parse_document(text)


def test_numbers_are_read_as_written_and_survive_the_registry() -> None:
    document = parse_document("prices: [{id: a, match: m, from: 2025-01-01, per_million: {input: 0.100000000000001}}]")
    again = check_document(document.model_dump(mode="json", by_alias=True))
    assert document == again
    assert again.prices[0].per_million["input"] == Decimal("0.100000000000001")


@pytest.mark.parametrize(
    "pattern",
    ["((a+))+", "(a|a)*", "(a|aa)+b", "(?:(?:a+))+", "((a|b)+c?)+", "(x(a|aa))*", "([ab]+)*", r"((\w|_)x)+"],
)
def test_a_pattern_that_some_names_would_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(PriceDocumentError, match="for ever"):
        parse_document(f"prices: [{{id: a, match: '{pattern}', per_million: {{input: 1}}}}]")
    with pytest.raises(PriceDocumentError, match="for ever"):
        parse_document(f"discounts: [{{match: '{pattern}', share: 0.1}}]")


@pytest.mark.parametrize(
    "pattern",
    [
        "gpt-(4|5)(-mini|-nano)?(-[0-9]+)?", "(a|b)c*", r"(ft:)?gpt-4o.*", r"claude-[^)(|+*]+", r"[]|)*(+]+x",
        r"[^])|(]+", r"\(a+\)+", "(?i:gpt).*", "(?P<who>a|b)-.*", "(abc)+", "(?x)a # )",
    ],
)  # fmt: skip
def test_a_pattern_that_ends_is_taken(pattern: str) -> None:
    assert parse_document(f"discounts: [{{match: '{pattern}', share: 0.1}}]").discounts[0].match == pattern


def test_an_empty_document_is_the_default() -> None:
    assert parse_document("") == PriceDocument() == parse_document("prices: []")


def test_names_that_clients_make_up_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "KEPT_NAMES", 10)
    snapshot = DataSnapshot([Provider(id="here", name="Here", api_pattern="")], False)
    made = PriceBook(base=BaseBook(snapshot))
    for number in range(50):
        assert look(made, f"made-up-{number}", at(2026)) is None
    assert len(made._kept) <= 10
    assert not snapshot._provider_misses
    assert not snapshot._lookup_cache


def test_the_document_in_the_docs_says_what_the_docs_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    documented = PriceBook(parse_document(text))
    found = {
        name: per_million(look(documented, name, at(2027, 3), project), "input")
        for name, project in (("my-llama-70b", "p"), ("gpt-4o", "acme"), ("prod-eu-chat", "p"), ("gpt-4o", "p"))
    }
    assert found == {"my-llama-70b": Decimal("0.4"), "gpt-4o": Decimal("2.375"), "prod-eu-chat": Decimal("2.1375")}
    assert per_million(look(documented, "gpt-4o", at(2027, 3), "acme"), "input") == 2
    assert per_million(look(documented, "gpt-4o", at(2028), "acme"), "input") == Decimal("2.1375")  # 2.5 less 5 %, 10 %
