"""The views are right at any moment: with merges stopped, whatever versions lie in the tables."""

import asyncio
import random
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.store.insert import Inserter
from pipeline.store.rows import ObservationRow
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, observation_row, raw_event_row, score_row, trace_row

HOUR = 3_600_000_000


@pytest.fixture
def store(clickhouse: ClickHouseProcess, database: str) -> Iterator[Client]:
    """All tables and views, nothing merges."""
    with migrated(clickhouse.url, database) as client:
        for table in ("traces_rows", "observations_rows", "scores_rows", "raw_events"):
            client.command(f"SYSTEM STOP MERGES {table}")
        yield client


@pytest.fixture
def inserter(store: Client) -> Iterator[Inserter]:
    inserter = Inserter(store)
    yield inserter
    inserter.close()


async def test_each_view_shows_one_row_for_any_number_of_versions(store: Client, inserter: Inserter) -> None:
    for version in (2, 8, 4, 6):
        await inserter.insert("traces_rows", [trace_row(row_version=version, name=f"v{version}")], "t")
        await inserter.insert("observations_rows", [observation_row(row_version=version, name=f"v{version}")], "t")
        await inserter.insert("scores_rows", [score_row(row_version=version, name=f"v{version}")], "t")
    for view in ("traces", "observations", "scores"):
        assert store.command(f"SELECT count() FROM {view}_rows") == 4, "versions have merged: the test shows nothing"
        assert store.query(f"SELECT name, row_version FROM {view}").result_rows == [("v8", 8)]


async def test_an_older_version_never_wins_wherever_it_stands(store: Client, inserter: Inserter) -> None:
    rows = [observation_row(row_version=version, name=f"v{version}") for version in range(2, 40)]
    random.Random(5).shuffle(rows)
    await inserter.insert("observations_rows", rows[:20], "first")
    await inserter.insert("observations_rows", rows[20:], "second")
    assert store.query("SELECT name FROM observations").result_rows == [("v39",)]


async def test_a_tombstone_hides_a_row_until_a_greater_version_comes(store: Client, inserter: Inserter) -> None:
    await inserter.insert("traces_rows", [trace_row(row_version=4)], "a")
    await inserter.insert("traces_rows", [trace_row(row_version=6, is_deleted=1)], "b")
    await inserter.insert("traces_rows", [trace_row(row_version=5)], "late")
    assert store.command("SELECT count() FROM traces") == 0
    await inserter.insert("traces_rows", [trace_row(row_version=8)], "c")
    assert store.command("SELECT count() FROM traces") == 1


async def test_a_tombstone_under_a_stale_key_leaves_the_right_row(store: Client, inserter: Inserter) -> None:
    await inserter.insert("traces_rows", [trace_row(first_seen=NOW + 30 * HOUR, row_version=4)], "stale")
    await inserter.insert(
        "traces_rows",
        [trace_row(first_seen=NOW, row_version=6), trace_row(first_seen=NOW + 30 * HOUR, row_version=6, is_deleted=1)],
        "audit",
    )
    assert store.query("SELECT row_version, toString(first_seen) FROM traces").result_rows == [
        (6, "2090-01-01 00:00:00.000000")
    ]


async def test_the_view_stays_right_when_everything_merges(store: Client, inserter: Inserter) -> None:
    for version in (2, 6, 4):
        await inserter.insert("traces_rows", [trace_row(row_version=version)], "t")
    await inserter.insert("traces_rows", [trace_row(trace_id="gone", row_version=4)], "t")
    await inserter.insert("traces_rows", [trace_row(trace_id="gone", row_version=6, is_deleted=1)], "t")
    store.command("SYSTEM START MERGES traces_rows")
    store.command("OPTIMIZE TABLE traces_rows FINAL")
    assert store.query("SELECT trace_id, row_version FROM traces").result_rows == [("trace", 6)]


async def test_a_redelivered_event_is_archived_once(store: Client, inserter: Inserter) -> None:
    await inserter.insert("raw_events", [raw_event_row("a", b"1", offset=1), raw_event_row("b", b"2", offset=2)], "x")
    await inserter.insert("raw_events", [raw_event_row("a", b"1", offset=1), raw_event_row("a", b"3", offset=3)], "y")
    assert store.command("SELECT count() FROM raw_events") == 4
    rows = store.query("SELECT event_id, value FROM raw_events FINAL ORDER BY event_id, value").result_rows
    assert rows == [("a", "1"), ("a", "3"), ("b", "2")]


def _versions(seed: int) -> list[list[ObservationRow]]:
    """Four blocks: 3,000 observations, most of them changed again in what the indexes are about."""
    chance = random.Random(seed)
    blocks: list[list[ObservationRow]] = []
    for version in range(2, 10, 2):
        blocks.append(
            [
                observation_row(
                    trace_id=f"t{number % 400}",
                    observation_id=f"o{number}",
                    first_seen=NOW + (number % 400) * 15 * 60_000_000,
                    start_time=NOW + chance.randrange(10**12),
                    name=f"n{chance.randrange(30)}",
                    model=f"m{chance.randrange(5)}",
                    user_id=f"u{chance.randrange(300)}",
                    session_id=f"s{chance.randrange(300)}",
                    tags=[f"g{chance.randrange(50)}"],
                    metadata={f"k{chance.randrange(50)}": "v"},
                    input=f"word{chance.randrange(500)} and more",
                    output=f"answer {chance.randrange(500)}",
                    row_version=version,
                    is_deleted=int(chance.random() < 0.05),
                )
                for number in range(3000)
                if chance.random() < 0.7
            ]
        )
    return blocks


async def test_searching_by_any_index_finds_the_newest_versions_and_no_others(
    store: Client, inserter: Inserter
) -> None:
    await asyncio.gather(
        *(inserter.insert("observations_rows", block, str(number)) for number, block in enumerate(_versions(11)))
    )
    for condition in (
        "trace_id = 't7'",
        "observation_id = 'o77'",
        "start_time < '2090-01-03'",
        "name = 'n3'",
        "model = 'm1'",
        "user_id = 'u5'",
        "session_id = 's5'",
        "has(tags, 'g3')",
        "mapContains(metadata, 'k3')",
        "hasToken(input, 'word33')",
        "input LIKE '%word33%'",
        "hasToken(output, '44')",
        "user_id = 'u5' AND start_time > '2090-01-03'",
    ):
        found = store.query(
            f"SELECT observation_id, row_version FROM observations WHERE {condition} ORDER BY observation_id"
        ).result_rows
        expected = store.query(
            "SELECT observation_id, row_version FROM"
            " (SELECT * FROM observations_rows ORDER BY row_version DESC LIMIT 1 BY trace_id, observation_id)"
            f" WHERE is_deleted = 0 AND {condition} ORDER BY observation_id SETTINGS use_skip_indexes = 0"
        ).result_rows
        assert found == expected, condition
        assert found, condition


def test_the_view_keeps_its_settings_whatever_the_session_says(store: Client) -> None:
    store.command("INSERT INTO traces_rows (project_id, trace_id) SELECT 'p', toString(number) FROM numbers(10)")
    against = {"use_skip_indexes_if_final": 0, "use_skip_indexes_if_final_exact_mode": 0}

    def plan(source: str) -> str:
        lines = store.query(f"EXPLAIN indexes = 1 SELECT * FROM {source} WHERE user_id = 'u'", settings=against)
        return "\n".join(line for (line,) in lines.result_rows)

    assert "by_user_id" in plan("traces")
    assert "by_user_id" not in plan("traces_rows FINAL")
