"""`sessions`, `users`, `cost_by` and `cost_by_tag` are exact at any moment: with merges stopped, after every block."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.events.flags import Flag
from pipeline.store.insert import Inserter
from pipeline.store.rows import ObservationRow, TraceRow
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, observation_row, trace_row

TABLES = ("traces_rows", "observations_rows")
DAY = 86_400_000_000
DIMENSIONS = (
    "model",
    "priced_model",
    "user_id",
    "session_id",
    "trace_name",
    "environment",
    "prompt_name",
    "prompt_version",
    "release",
)
Sums = tuple[int, int, int, Decimal | None]
"""(calls, unpriced calls, tokens, cost in USD)."""


@pytest.fixture(scope="module")
def migrated_once(clickhouse: ClickHouseProcess) -> Iterator[Client]:
    """All tables and views, nothing merges."""
    with migrated(clickhouse.url, "rollups") as client:
        for table in TABLES:
            client.command(f"SYSTEM STOP MERGES {table}")
        yield client
        client.command("DROP DATABASE rollups SYNC")


@pytest.fixture
def store(migrated_once: Client) -> Iterator[Client]:
    """The tables are empty before and after each test."""
    yield migrated_once
    for table in TABLES:
        migrated_once.command(f"TRUNCATE TABLE {table}")


@pytest.fixture
def inserter(store: Client) -> Iterator[Inserter]:
    inserter = Inserter(store)
    yield inserter
    inserter.close()


async def test_cost_by_equals_a_count_by_hand_after_every_block_of_versions(store: Client, inserter: Inserter) -> None:
    chance = random.Random(3)
    newest: dict[tuple[str, ...], ObservationRow] = {}
    for block in range(5):
        rows = [_observation(chance) for _ in range(800)]
        await inserter.insert("observations_rows", rows, str(block))
        _keep_newest(newest, rows, lambda row: (row.project_id, row.trace_id, row.observation_id))
        calls = [row for row in newest.values() if not row.is_deleted and _is_call(row)]
        for dimension in DIMENSIONS:
            assert _cost_by(store, "cost_by", dimension) == _sums((getattr(row, dimension), row) for row in calls)
        tagged = [(tag, row) for row in calls for tag in (row.tags or [""])]
        assert _cost_by(store, "cost_by_tag", "tag") == _sums(tagged)
    ((versions,),) = store.query("SELECT count() FROM observations_rows").result_rows
    assert versions > len(newest) * 1.5, "versions have merged: the test shows nothing"
    assert (
        store.query("SELECT sum(total_cost), sum(total_tokens) FROM cost_by").result_rows
        == store.query("SELECT sum(total_cost), sum(usage['total']) FROM observations WHERE flags = []").result_rows
    )


async def test_users_and_sessions_equal_a_count_by_hand_after_every_block(store: Client, inserter: Inserter) -> None:
    chance = random.Random(4)
    newest: dict[tuple[str, ...], TraceRow] = {}
    for block in range(5):
        rows = [_trace(chance) for _ in range(300)]
        await inserter.insert("traces_rows", rows, str(block))
        _keep_newest(newest, rows, lambda row: (row.project_id, row.trace_id))
        traces = [row for row in newest.values() if not row.is_deleted]
        assert _people(store, "users", "user_id", "sessions") == _by_hand(traces, "user_id", "session_id")
        assert _people(store, "sessions", "session_id", "users") == _by_hand(traces, "session_id", "user_id")


async def test_a_trace_revised_to_another_user_takes_all_its_cost_along(store: Client, inserter: Inserter) -> None:
    for version, user, session in ((2, "", ""), (4, "alice", "s1"), (6, "bob", "s2")):
        await inserter.insert("traces_rows", [trace_row(user_id=user, session_id=session, row_version=version)], "t")
        rows = [
            observation_row(observation_id=id_, user_id=user, session_id=session, row_version=version) for id_ in "ab"
        ]
        await inserter.insert("observations_rows", rows, "t")
    assert store.query("SELECT user_id, traces, total_cost FROM users").result_rows == [("bob", 1, Decimal("0.00003"))]
    assert store.query("SELECT session_id, users FROM sessions").result_rows == [("s2", 1)]
    assert store.query("SELECT user_id, session_id, calls, total_cost FROM cost_by").result_rows == [
        ("bob", "s2", 2, Decimal("0.00006"))
    ]


async def test_what_was_deleted_counts_nowhere(store: Client, inserter: Inserter) -> None:
    for version, deleted in ((4, 0), (6, 1), (5, 0)):
        await inserter.insert("traces_rows", [trace_row(row_version=version, is_deleted=deleted)], "t")
        await inserter.insert("observations_rows", [observation_row(row_version=version, is_deleted=deleted)], "t")
    for view in ("users", "sessions", "cost_by", "cost_by_tag"):
        assert store.command(f"SELECT count() FROM {view}") == 0, view


async def test_projects_with_equal_ids_have_sums_of_their_own(store: Client, inserter: Inserter) -> None:
    for project, cost in (("one", Decimal(1)), ("two", Decimal(2))):
        await inserter.insert("traces_rows", [trace_row(project_id=project, total_cost=cost)], "t")
        await inserter.insert("observations_rows", [observation_row(project_id=project, total_cost=cost)], "t")
    for view in ("users", "sessions", "cost_by"):
        rows = store.query(f"SELECT project_id, total_cost FROM {view} ORDER BY project_id").result_rows
        assert rows == [("one", Decimal(1)), ("two", Decimal(2))], view


async def test_unknown_cost_stays_null_and_is_counted(store: Client, inserter: Inserter) -> None:
    await inserter.insert("traces_rows", [trace_row(total_cost=None, end_time=None)], "t")
    await inserter.insert("observations_rows", [observation_row(total_cost=None)], "t")
    assert store.query("SELECT total_cost, last_seen = first_seen FROM users").result_rows == [(None, True)]
    assert store.query("SELECT total_cost, unpriced_calls FROM cost_by").result_rows == [(None, 1)]


async def test_a_call_counts_once_under_each_of_its_tags(store: Client, inserter: Inserter) -> None:
    rows = [
        observation_row(observation_id="both", tags=["a", "b"]),
        observation_row(observation_id="repeated", tags=["b", "b"]),
        observation_row(observation_id="none", tags=[]),
    ]
    await inserter.insert("observations_rows", rows, "t")
    assert store.query("SELECT tag, calls FROM cost_by_tag ORDER BY tag").result_rows == [("", 1), ("a", 1), ("b", 2)]
    assert store.command("SELECT sum(calls) FROM cost_by") == 3


async def test_a_span_without_model_tokens_or_cost_is_no_call(store: Client, inserter: Inserter) -> None:
    span = observation_row(type="SPAN", model="", usage={}, cost={}, total_cost=None)
    await inserter.insert("observations_rows", [span], "t")
    assert store.command("SELECT count() FROM cost_by") == 0


async def test_a_wrapper_that_repeats_its_childs_usage_is_counted_once(store: Client, inserter: Inserter) -> None:
    wrapper = observation_row(observation_id="wrapper", type="SPAN", flags=[Flag.DUPLICATE_USAGE])
    await inserter.insert("observations_rows", [wrapper, observation_row()], "t")
    for view in ("cost_by", "cost_by_tag WHERE tag = 'a'"):
        rows = store.query(f"SELECT sum(calls), sum(total_tokens), sum(total_cost) FROM {view}").result_rows
        assert rows == [(1, 15, Decimal("0.00003"))], view


def test_a_bounded_day_reads_by_the_index_on_the_start(store: Client) -> None:
    store.command(
        "INSERT INTO observations_rows (project_id, trace_id, observation_id, model, start_time, first_seen)"
        f" SELECT 'p', toString(number), 'o', 'm', fromUnixTimestamp64Micro({NOW} + number % 9 * {DAY}) AS start, start"
        " FROM numbers(900)"
    )
    for view in ("cost_by", "cost_by_tag"):
        condition = "project_id = 'p' AND day BETWEEN '2090-01-02' AND '2090-01-03'"
        assert store.command(f"SELECT sum(calls) FROM {view} WHERE {condition}") == 200
        plan = store.query(f"EXPLAIN indexes = 1 SELECT sum(calls) FROM {view} WHERE {condition}").result_rows
        text = "\n".join(line for (line,) in plan)
        assert "by_start_time" in text
        assert "Parts: 2/9" in text


async def test_a_refreshed_copy_of_cost_by_is_exact_as_of_its_refresh(store: Client, inserter: Inserter) -> None:
    store.command(
        "CREATE MATERIALIZED VIEW cost_daily REFRESH EVERY 1 YEAR"
        " ENGINE = MergeTree ORDER BY (project_id, day) EMPTY AS SELECT * FROM cost_by"  # dropped with the database
    )
    for version in (2, 4, 6):
        row = observation_row(row_version=version, user_id=f"u{version}", total_cost=Decimal(version))
        await inserter.insert("observations_rows", [row], "t")
        store.command("SYSTEM REFRESH VIEW cost_daily")
        store.command("SYSTEM WAIT VIEW cost_daily")
        rows = store.query("SELECT user_id, calls, total_cost FROM cost_daily").result_rows
        assert rows == [(f"u{version}", 1, Decimal(version))]


def _observation(chance: random.Random) -> ObservationRow:
    """One of some 1,400 keys in two projects, in a new version."""
    trace = chance.randrange(70)
    tokens = chance.choice([0, chance.randrange(1000)])
    return observation_row(
        project_id=chance.choice(["p", "q"]),
        trace_id=f"t{trace}",
        observation_id=f"o{chance.randrange(10)}",
        first_seen=NOW + trace * DAY // 10,
        start_time=NOW + chance.randrange(4) * DAY + chance.randrange(DAY),
        model=chance.choice(["", "m1", "m2"]),
        priced_model=chance.choice(["", "m"]),
        user_id=f"u{chance.randrange(9)}",
        session_id=chance.choice(["", "s1", "s2"]),
        trace_name=f"n{chance.randrange(3)}",
        environment=chance.choice(["default", "staging"]),
        prompt_name=chance.choice(["", "greet"]),
        prompt_version=chance.choice([None, 1, 2]),
        release=chance.choice(["1", "2"]),
        tags=sorted(chance.sample(["a", "b", "c"], chance.randrange(4))),
        usage={"total": tokens} if tokens else {},
        flags=[Flag.DUPLICATE_USAGE] if chance.random() < 0.1 else [],
        total_cost=chance.choice([None, Decimal(chance.randrange(10**9)) / 10**12]),
        row_version=chance.randrange(10**12),
        is_deleted=int(chance.random() < 0.1),
    )


def _trace(chance: random.Random) -> TraceRow:
    trace = chance.randrange(150)
    start = NOW + chance.randrange(DAY)
    return trace_row(
        project_id=chance.choice(["p", "q"]),
        trace_id=f"t{trace}",
        first_seen=NOW + trace * DAY // 10,
        start_time=start,
        end_time=chance.choice([None, start + chance.randrange(-DAY, DAY)]),
        user_id=chance.choice(["", "u1", "u2", "u3"]),
        session_id=chance.choice(["", "s1", "s2", "s3"]),
        status=chance.choice(["SUCCESS", "ERROR", "RUNNING"]),
        error_count=chance.choice([0, 0, 3]),
        observation_count=chance.randrange(40),
        total_tokens=chance.randrange(1000),
        total_cost=chance.choice([None, Decimal(chance.randrange(10**9)) / 10**12]),
        row_version=chance.randrange(10**12),
        is_deleted=int(chance.random() < 0.1),
    )


def _keep_newest(newest: dict[tuple[str, ...], Any], rows: Iterable[Any], key: Any) -> None:
    for row in rows:
        if key(row) not in newest or row.row_version > newest[key(row)].row_version:
            newest[key(row)] = row


def _is_call(row: ObservationRow) -> bool:
    used = bool(row.model) or row.total_cost is not None or row.usage.get("total", 0) > 0
    return used and Flag.DUPLICATE_USAGE not in row.flags


def _sums(valued: Iterable[tuple[Any, ObservationRow]]) -> dict[tuple[str, int, Any], Sums]:
    groups: dict[tuple[str, int, Any], list[ObservationRow]] = defaultdict(list)
    for value, row in valued:
        groups[row.project_id, (row.start_time - NOW) // DAY, value].append(row)
    return {
        key: (
            len(rows),
            sum(row.total_cost is None for row in rows),
            sum(row.usage.get("total", 0) for row in rows),
            _total(row.total_cost for row in rows),
        )
        for key, rows in groups.items()
    }


def _cost_by(store: Client, view: str, dimension: str) -> dict[tuple[str, int, Any], Sums]:
    rows = store.query(
        f"SELECT project_id, dateDiff('day', toDate('2090-01-01'), day) AS number, {dimension},"
        " sum(calls), sum(unpriced_calls), sum(total_tokens), sum(total_cost)"
        f" FROM {view} GROUP BY project_id, number, {dimension}"
    ).result_rows
    return {(project, day, value): (calls, *rest) for project, day, value, calls, *rest in rows}


def _by_hand(traces: list[TraceRow], by: str, other: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    groups: dict[tuple[str, str], list[TraceRow]] = defaultdict(list)
    for row in traces:
        if getattr(row, by):
            groups[row.project_id, getattr(row, by)].append(row)
    return {
        key: (
            len({getattr(row, other) for row in rows} - {""}),
            len(rows),
            sum(row.observation_count for row in rows),
            sum(row.total_tokens for row in rows),
            _total(row.total_cost for row in rows),
            sum(row.error_count > 0 for row in rows),
            pytest.approx(sum(row.error_count > 0 for row in rows) / len(rows)),
            sum(row.status == "RUNNING" for row in rows),
            min(row.start_time for row in rows) - NOW,
            max(max(row.start_time, row.end_time or 0) for row in rows) - NOW,
        )
        for key, rows in groups.items()
    }


def _people(store: Client, view: str, by: str, others: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = store.query(
        f"SELECT project_id, {by}, {others}, traces, observations, total_tokens, total_cost, error_traces, error_share,"
        f" running_traces, toUnixTimestamp64Micro(first_seen) - {NOW}, toUnixTimestamp64Micro(last_seen) - {NOW}"
        f" FROM {view}"
    ).result_rows
    return {(project, id_): tuple(rest) for project, id_, *rest in rows}


def _total(costs: Iterable[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if known else None
