"""The views about cost: a generated month shows the explainer's dashboard to the cent; units are counted once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.cost.book import PriceBook
from pipeline.cost.document import parse_document
from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Micros
from pipeline.store.native import encode
from pipeline.store.tables import OBSERVATIONS, RAW_EVENTS, SCORES, TABLES, TRACES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, observation_row, raw_event_row, score_row, trace_row

# Contract prices, the cached token at a quarter of the fresh one.
PRICES = """
prices:
  - {id: 4o, match: gpt-4o, per_million: {input: 2.5, input_cached: 0.625, output: 10}}
  - {id: mini, match: gpt-4o-mini, per_million: {input: 0.5, input_cached: 0.125, output: 2}}
  - {id: claude, match: claude-3-5-sonnet, per_million: {input: 2, input_cached: 0.5, output: 8}}
"""
PER_MILLION = {
    ("gpt-4o", "input"): "2.5", ("gpt-4o", "input_cached"): "0.625", ("gpt-4o", "output_reasoning"): "10",
    ("gpt-4o-mini", "input"): "0.5", ("gpt-4o-mini", "input_cached"): "0.125", ("gpt-4o-mini", "output_reasoning"): "2",
    ("claude-3-5-sonnet", "input"): "2", ("claude-3-5-sonnet", "input_cached"): "0.5",
    ("claude-3-5-sonnet", "output_reasoning"): "8",
}  # fmt: skip
MODELS = {"gpt-4o": 8200, "gpt-4o-mini": 2800, "claude-3-5-sonnet": 1450}
ENDPOINTS = {"/api/chat": 9000, "/api/summarize": 2200, "/api/classify": 1250}
SEGMENTS = {"Enterprise": 7000, "Free tier": 5450}
KINDS = {"input": 10000, "input_cached": 2000, "output_reasoning": 450}
MONTH = datetime(2090, 6, 1, tzinfo=UTC)


def cells() -> Iterator[tuple[str, str, str, str, int]]:
    """Dollars by (model, endpoint, segment, kind), every margin as stated: each is used up from its own order."""
    margins = [list(margin.items()) for margin in (MODELS, ENDPOINTS, SEGMENTS)]
    margins.append([(kind, half // 2) for _ in range(2) for kind, half in KINDS.items()])
    margins[2].reverse()
    while margins[0]:
        dollars = min(margin[0][1] for margin in margins)
        model, endpoint, segment, kind = (margin[0][0] for margin in margins)
        yield model, endpoint, segment, kind, dollars
        for margin in margins:
            name, left = margin[0]
            margin[0] = (name, left - dollars)
            if left == dollars:
                margin.pop(0)


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouseProcess) -> Iterator[Client]:
    """A month of calls, ten for each cell, each a trace of its own, all written twice."""
    with migrated(clickhouse.url, "cost_views") as made:
        price = ObservationPricer(PriceBook(parse_document(PRICES)))
        traces, rows = [], []
        for number, (model, endpoint, segment, kind, dollars) in enumerate(cells()):
            tokens = Decimal(dollars * 10**6) / Decimal(PER_MILLION[model, kind])
            for call in range(10):
                at = Micros(int((MONTH + timedelta(days=number % 28, hours=call)).timestamp() * 1_000_000))
                usage = {kind: int(tokens) // 10}
                priced = price("project", {"model": model, "usage": usage}, at)
                own = priced._asdict()
                own.pop("flags")
                id_ = f"{number}-{call}"
                common: dict[str, Any] = {"trace_id": id_, "start_time": at, "first_seen": at, "tags": [segment]}
                for version in (2, 4):
                    rows.append(observation_row(**common, **own, model=model, trace_name=endpoint, row_version=version))
                    traces.append(trace_row(
                        **common, usage=priced.usage, cost=priced.cost, total_cost=priced.total_cost, name=endpoint,
                        metadata={"plan": segment}, row_version=version,
                    ))  # fmt: skip
        for table, some in ((OBSERVATIONS, rows), (TRACES, traces)):
            insert(made, table, some)
        yield made


def insert(client: Client, table: str, rows: list[Any]) -> None:
    client.raw_insert(table, list(TABLES[table].columns), bytes(encode(TABLES[table], rows)), fmt="Native")


def dollars(client: Client, query: str) -> dict[str, Decimal]:
    return {str(name): amount for name, amount in client.query(query).result_rows}


def test_the_month_costs_12450_dollars(client: Client) -> None:
    assert client.query("SELECT sum(total_cost) FROM observations").first_row == (Decimal(12450),)
    assert client.query("SELECT sum(total_cost) FROM cost_by_kind").first_row == (Decimal(12450),)


def test_the_dashboard_by_model_endpoint_segment_and_kind(client: Client) -> None:
    by = "SELECT {0}, sum(total_cost) FROM {1} WHERE day >= '2090-06-01' AND day < '2090-07-01' {2} GROUP BY {0}"
    assert dollars(client, by.format("model", "cost_by_kind", "")) == MODELS
    assert dollars(client, by.format("trace_name", "cost_by_kind", "")) == ENDPOINTS
    assert dollars(client, by.format("kind", "cost_by_kind", "")) == KINDS
    assert dollars(client, by.format("value", "cost_by_segment", "AND key = ''")) == SEGMENTS
    assert dollars(client, by.format("value", "cost_by_segment", "AND key = 'plan'")) == SEGMENTS


def test_caching_saved_6000_dollars(client: Client) -> None:
    saved = "SELECT sum(cached_cost), sum(saved), sum(calls_without_fresh_price) FROM cache_savings"
    assert client.query(saved).first_row == (Decimal(2000), Decimal(6000), 0)


def test_a_call_without_fresh_tokens_does_not_borrow_the_price_of_another_tier(client: Client) -> None:
    def call(id_: str, tokens: int, dollars: str, kind: str = "input") -> Any:
        cost = {kind: Decimal(dollars), "total": Decimal(dollars)}
        return observation_row(
            project_id="tiers", trace_id="t", observation_id=id_, cost_source="computed", price_id="tiered",
            usage={kind: tokens, "total": tokens}, cost=cost, total_cost=cost["total"],
        )  # fmt: skip

    saved = "SELECT sum(saved), sum(calls_without_fresh_price) FROM cache_savings WHERE project_id = 'tiers'"
    insert(client, OBSERVATIONS, [call("cached", 100, "0.1", "input_cached"), call("small", 100, "1")])
    assert client.query(saved).first_row == (Decimal("0.9"), 0)
    insert(client, OBSERVATIONS, [call("large", 1_000_000, "20000")])
    assert client.query(saved).first_row == (Decimal(0), 1)


def test_every_call_of_the_month_was_priced_by_the_book(client: Client) -> None:
    coverage = "SELECT usage_source, cost_source, share FROM pricing_coverage GROUP BY ALL"
    assert client.query(coverage).result_rows == [("provided", "computed", 1.0)]


def test_a_total_alone_is_unsplit_and_a_repeated_usage_is_left_out(client: Client) -> None:
    given: dict[str, Any] = {"project_id": "other", "trace_id": "t", "cost_source": "provided", "usage": {}}
    some = Decimal("0.5")
    insert(client, OBSERVATIONS, [
        observation_row(**given, observation_id="a", cost={"total": some}, total_cost=some),
        observation_row(**given, observation_id="b", cost={"input": some, "total": some * 2}, total_cost=some * 2),
        observation_row(**given, observation_id="c", cost={"input": some}, total_cost=some, flags=["duplicate_usage"]),
        observation_row(**given, observation_id="d", cost={}, total_cost=None),
    ])  # fmt: skip
    query = "SELECT kind, sum(total_cost) FROM cost_by_kind WHERE project_id = 'other' GROUP BY kind"
    assert dollars(client, query) == {"unsplit": Decimal(1), "input": some}


def test_a_call_with_retrieval_is_three_units_however_often_it_is_sent(client: Client) -> None:
    month = datetime(2091, 3, 1, tzinfo=UTC)
    at = int(month.timestamp() * 1_000_000)
    common: dict[str, Any] = {"project_id": "metered", "trace_id": "t", "first_seen": at}
    for version in (2, 4, 6):
        insert(client, TRACES, [trace_row(**common, row_version=version)])
        insert(client, OBSERVATIONS, [
            observation_row(**common, observation_id=name, row_version=version) for name in ("retrieval", "llm")
        ])  # fmt: skip
        insert(client, RAW_EVENTS, [raw_event_row(**common, event_id=name) for name in ("1", "2", "3")])
    insert(client, SCORES, [score_row(**common, row_version=version) for version in (2, 4)])
    metering = "SELECT month, traces, observations, scores, units, events FROM metering WHERE project_id = 'metered'"
    assert client.query(metering).result_rows == [(month.date(), 1, 2, 1, 4, 3)]
