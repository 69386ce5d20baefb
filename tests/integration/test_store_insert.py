"""Inserts into the real engine: every value comes back, bad rows are found alone, outages lose and double nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.store.insert import Inserter
from pipeline.store.migrate import migrate
from pipeline.store.retry import Backoff
from pipeline.store.tables import TABLES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import (
    NOW,
    migrated,
    observation_row,
    offset_range_row,
    raw_event_row,
    score_row,
    settings_for,
    trace_row,
)

YEAR_2200 = 7_258_118_400_000_000
MOST = Decimal("999999.999999999999")
MOST_TOTAL = Decimal("99999999999999999999999999.999999999999")
TEXTS = ["", "'\"\\`\n\t\r", "日本語 🙂 é", "\x00\x01\x7f", "%(x)s {y:String} ?", "a" * 5_000_000]


@pytest.fixture
def store(clickhouse: ClickHouseProcess, database: str) -> Iterator[Client]:
    with migrated(clickhouse.url, database) as client:
        yield client


@pytest.fixture
async def inserter(store: Client) -> AsyncIterator[Inserter]:
    inserter = Inserter(store, backoff=Backoff(0.01, 0.1))
    yield inserter
    inserter.close()


def stored(client: Client, table: str, order: str) -> list[NamedTuple]:
    """All rows of a table as the typed rows they were written from."""
    row = TABLES[table].row
    result = client.query(
        f"SELECT {', '.join(row._fields)} FROM {table} ORDER BY {order}",
        query_formats={"DateTime64": "int", "DateTime": "int"},
        column_formats={"value": "bytes"} if table == "raw_events" else None,
    )
    return [row(*values) for values in result.result_rows]


KEYS = {
    "traces_rows": "trace_id",
    "observations_rows": "observation_id",
    "scores_rows": "score_id",
    "raw_events": "event_id",
    "offset_ranges": "first",
}


async def round_trip(client: Client, inserter: Inserter, table: str, rows: Sequence[NamedTuple]) -> None:
    """Store `rows`, which are in the order of their key, and find them as they were."""
    assert await inserter.insert(table, rows, "round-trip") == []
    assert stored(client, table, KEYS[table]) == rows


async def test_every_column_of_an_observation_comes_back_exactly(store: Client, inserter: Inserter) -> None:
    await round_trip(
        store,
        inserter,
        "observations_rows",
        [
            observation_row(observation_id="a"),
            observation_row(
                observation_id="b",
                start_time=0,
                end_time=None,
                completion_start_time=None,
                latency_ms=None,
                time_to_first_token_ms=None,
                metadata={},
                usage={},
                usage_provided={},
                cost={},
                total_cost=None,
                subtree_cost=None,
                path=[],
                tags=[],
            ),
            observation_row(
                observation_id="c",
                start_time=YEAR_2200 + 999_999,
                end_time=YEAR_2200,
                completion_start_time=1,
                latency_ms=0.001,
                total_cost=MOST,
                subtree_cost=MOST_TOTAL,
                cost={"input": -MOST, "output": Decimal("0.000000000001"), "zero": Decimal(0)},
                usage={"input": 2**64 - 1, "": 0},
                prompt_version=2**32 - 1,
                depth=2**32 - 1,
                child_count=100_000,
                subtree_tokens=2**64 - 1,
                row_version=2**64 - 1,
                orphan=True,
                is_deleted=1,
                flags=["cycle", "orphan"],
                tool_calls=["", '{"name":"search"}'],
                path=[f"{level:016x}" for level in range(5_000)],
                metadata={"": "", "schlüssel": "🙂", "long": "x" * 100_000},
            ),
            *(
                observation_row(
                    observation_id=f"d{number}", input=text, output=text, status_message=text, name=text[:99]
                )
                for number, text in enumerate(TEXTS)
            ),
        ],
    )


async def test_every_column_of_a_trace_comes_back_exactly(store: Client, inserter: Inserter) -> None:
    await round_trip(
        store,
        inserter,
        "traces_rows",
        [
            trace_row(trace_id="a"),
            trace_row(trace_id="b", end_time=None, latency_ms=None, usage={}, cost={}, total_cost=None, settled=False),
            trace_row(trace_id="c", total_cost=MOST_TOTAL, error_count=7, public=True, flags=["late"], user_id="'; --"),
            *(trace_row(trace_id=f"d{n}", session_id=text[:800], output=text) for n, text in enumerate(TEXTS)),
        ],
    )


async def test_every_column_of_a_score_comes_back_exactly(store: Client, inserter: Inserter) -> None:
    await round_trip(
        store,
        inserter,
        "scores_rows",
        [
            score_row(score_id="a"),
            score_row(score_id="b", value=None, string_value="good", data_type="CATEGORICAL", trace_id=""),
            score_row(score_id="c", value=-1.7976931348623157e308, comment="日本語", metadata={"a": "1"}, at=YEAR_2200),
        ],
    )


async def test_an_event_comes_back_byte_for_byte(store: Client, inserter: Inserter) -> None:
    every_byte = bytes(range(256))
    await round_trip(
        store,
        inserter,
        "raw_events",
        [
            raw_event_row("a", b""),
            raw_event_row("b", every_byte),
            raw_event_row("c", random.Random(1).randbytes(4_000_000), offset=2**63, position=9, partition=1_000),
        ],
    )


async def test_a_chunk_comes_back(store: Client, inserter: Inserter) -> None:
    await round_trip(store, inserter, "offset_ranges", [offset_range_row(0, 99), offset_range_row(100, 2**63)])


async def test_no_rows_are_no_insert(store: Client, inserter: Inserter) -> None:
    assert await inserter.insert("traces_rows", [], "nothing") == []


async def test_an_insert_that_is_sent_again_leaves_no_second_part(store: Client, inserter: Inserter) -> None:
    store.command("SYSTEM STOP MERGES traces_rows")
    rows = [trace_row(trace_id=f"t{number}") for number in range(10)]
    for _ in range(3):
        await inserter.insert("traces_rows", rows, "spanfold.events-0-10-19")
    assert store.command("SELECT count() FROM traces_rows") == 10


async def test_other_rows_under_the_same_token_are_stored(store: Client, inserter: Inserter) -> None:
    await inserter.insert("traces_rows", [trace_row(row_version=4)], "spanfold.events-0-10-19")
    await inserter.insert("traces_rows", [trace_row(row_version=6)], "spanfold.events-0-10-19")
    assert store.command("SELECT row_version FROM traces") == 6


async def test_the_one_row_that_cannot_be_encoded_is_refused_among_a_thousand(
    store: Client, inserter: Inserter
) -> None:
    rows = [observation_row(observation_id=f"o{number}") for number in range(1_000)]
    rows[617] = rows[617]._replace(output="half a pair: \ud83d")
    (refused,) = await inserter.insert("observations_rows", rows, "token")
    assert refused.row is rows[617]
    assert refused.code is None
    assert "observations_rows.output" in refused.message
    assert store.command("SELECT count() FROM observations") == 999


async def test_the_rows_that_the_engine_refuses_are_found_among_a_thousand(store: Client, inserter: Inserter) -> None:
    store.command("ALTER TABLE observations_rows ADD CONSTRAINT no_bad_name CHECK name != 'bad'")
    rows = [observation_row(observation_id=f"o{number}") for number in range(1_000)]
    for number in (0, 500, 501, 999):
        rows[number] = rows[number]._replace(name="bad")
    refused = await inserter.insert("observations_rows", rows, "token")
    assert sorted(bad.row.observation_id for bad in refused) == ["o0", "o500", "o501", "o999"]  # type: ignore[attr-defined]
    assert {bad.code for bad in refused} == {469}
    assert store.command("SELECT count() FROM observations") == 996


UNKNOWN = "ALTER TABLE observations_rows ADD CONSTRAINT unknown CHECK throwIf(name = '{}') = 0"  # code 395


async def test_a_row_that_fails_for_an_unknown_reason_is_refused_when_its_neighbours_are_stored(
    store: Client, inserter: Inserter
) -> None:
    store.command(UNKNOWN.format("bad"))
    rows = [observation_row(observation_id=f"o{number}", name="bad" if number == 3 else "good") for number in range(20)]
    (refused,) = await inserter.insert("observations_rows", rows, "token")
    assert (refused.row, refused.code) == (rows[3], 395)
    assert store.command("SELECT count() FROM observations") == 19


async def test_many_rows_that_fail_for_an_unknown_reason_are_refused_when_the_table_takes_others(
    store: Client, inserter: Inserter
) -> None:
    store.command(UNKNOWN.format("bad"))
    rows = [observation_row(observation_id=f"o{n:02}", name="bad" if n < 20 else "good") for n in range(25)]
    refused = await inserter.insert("observations_rows", rows, "token")
    assert sorted(bad.row for bad in refused) == rows[:20]
    assert store.command("SELECT count() FROM observations") == 5


async def test_no_row_is_refused_while_the_table_takes_none(store: Client) -> None:
    failures = 0
    healed = False

    def heal(table: str, error: Exception, delay: float) -> None:
        nonlocal failures, healed
        failures += 1
        if failures == 40:  # of 3 for each block that is halved, so after several rows have failed alone
            store.command("ALTER TABLE observations_rows DROP CONSTRAINT unknown")
            healed = True

    inserter = Inserter(store, backoff=Backoff(0.001, 0.01), on_retry=heal)
    store.command(UNKNOWN.format("chat"))
    rows = [observation_row(observation_id=f"o{number}") for number in range(30)]
    assert await inserter.insert("observations_rows", rows, "token") == []
    assert healed
    assert store.command("SELECT count() FROM observations") == 30
    inserter.close()


async def test_a_table_that_is_missing_is_waited_for(store: Client, database: str) -> None:
    store.command("RENAME TABLE scores_rows TO scores_away")
    retries: list[str] = []

    def restore(table: str, error: Exception, delay: float) -> None:
        retries.append(table)
        if len(retries) == 3:
            store.command("RENAME TABLE scores_away TO scores_rows")

    inserter = Inserter(store, backoff=Backoff(0.001, 0.01), on_retry=restore)
    assert await inserter.insert("scores_rows", [score_row()], "token") == []
    assert retries == ["scores_rows"] * 3
    assert store.command("SELECT count() FROM scores") == 1
    inserter.close()


async def test_inserts_survive_a_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    server = ClickHouseProcess(tmp_path)
    server.start()
    settings = settings_for(server.url, "spanfold")
    migrate(settings)
    away = asyncio.Event()
    client = server.client(database="spanfold", autogenerate_session_id=False)
    inserter = Inserter(client, backoff=Backoff(0.01, 0.2), on_retry=lambda *_: away.set())
    blocks = [[trace_row(trace_id=f"t{block}-{number}") for number in range(500)] for block in range(8)]

    async def store_all() -> None:
        for number, block in enumerate(blocks):
            assert await inserter.insert("traces_rows", block, f"block-{number}") == []

    try:
        storing = asyncio.create_task(store_all())
        await asyncio.to_thread(server.kill)
        await asyncio.wait_for(away.wait(), 30)
        assert not storing.done()
        await asyncio.to_thread(server.start)
        await asyncio.wait_for(storing, 60)
        assert client.command("SELECT count() FROM traces_rows FINAL") == 4_000
        assert client.command("SELECT count() FROM traces") == 4_000
    finally:
        inserter.close()
        client.close()
        server.kill()


async def test_a_cancelled_insert_can_be_done_again(store: Client) -> None:
    waiting = asyncio.Event()
    store.command("RENAME TABLE traces_rows TO traces_away")
    inserter = Inserter(store, backoff=Backoff(0.01, 5.0), on_retry=lambda *_: waiting.set())
    task = asyncio.create_task(inserter.insert("traces_rows", [trace_row()], "token"))
    await asyncio.wait_for(waiting.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.command("RENAME TABLE traces_away TO traces_rows")
    assert await inserter.insert("traces_rows", [trace_row()], "token") == []
    assert store.command("SELECT count() FROM traces_rows") == 1
    inserter.close()


async def test_tables_are_filled_concurrently(store: Client, inserter: Inserter) -> None:
    results = await asyncio.gather(
        inserter.insert("traces_rows", [trace_row(trace_id=f"t{n}") for n in range(500)], "t"),
        inserter.insert("observations_rows", [observation_row(observation_id=f"o{n}") for n in range(500)], "t"),
        inserter.insert("scores_rows", [score_row(score_id=f"s{n}") for n in range(500)], "t"),
        inserter.insert("raw_events", [raw_event_row(f"e{n}") for n in range(500)], "t"),
    )
    assert results == [[], [], [], []]
    for table in ("traces_rows", "observations_rows", "scores_rows", "raw_events"):
        assert store.command(f"SELECT count() FROM {table}") == 500


async def test_a_replay_may_span_more_days_than_an_insert_is_allowed_by_default(
    store: Client, inserter: Inserter
) -> None:
    rows = [trace_row(trace_id=f"t{day}", first_seen=NOW + day * 86_400_000_000) for day in range(120)]
    assert await inserter.insert("traces_rows", rows, "token") == []
    assert store.command("SELECT count() FROM traces") == 120
