"""Faults between worker and store: every row is stored once, none refused, and no token is needed for that."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.store.client import connect
from pipeline.store.insert import Inserter
from pipeline.store.retry import Backoff
from pipeline.store.tables import OBSERVATIONS, OFFSET_RANGES, RAW_EVENTS, SCORES, TRACES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import (
    migrated,
    observation_row,
    offset_range_row,
    raw_event_row,
    score_row,
    settings_for,
    trace_row,
)
from tests.fixtures.store_gate import ANSWER_LOST, BODY_CUT, HANGS, StoreGate, store_gate

ROWS = 300
STORED: dict[str, list[Any]] = {
    TRACES: [trace_row(trace_id=f"t{number}") for number in range(ROWS)],
    OBSERVATIONS: [observation_row(observation_id=f"o{number}") for number in range(ROWS)],
    SCORES: [score_row(score_id=f"s{number}") for number in range(ROWS)],
    RAW_EVENTS: [raw_event_row(f"e{number}", offset=number) for number in range(ROWS)],
    OFFSET_RANGES: [offset_range_row(number * 10, number * 10 + 9) for number in range(ROWS)],
}


class Faulty(NamedTuple):
    """A store behind a gate: `client` goes through it, `direct` does not."""

    gate: StoreGate
    client: Client
    direct: Client


@pytest.fixture(scope="module")
def behind_gate(clickhouse: ClickHouseProcess) -> Iterator[Faulty]:
    """One database for all tests, whose tables each of them empties."""
    name = f"faults_{uuid4().hex}"
    with migrated(clickhouse.url, name) as direct, store_gate(clickhouse.url) as gate:
        client = connect(settings_for(gate.url, name), timeout=1.0)
        yield Faulty(gate, client, direct)
        client.close()
        direct.command(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def faulty(behind_gate: Faulty) -> Faulty:
    for table in STORED:
        behind_gate.direct.command(f"TRUNCATE TABLE {table}")
    behind_gate.gate.faults.clear()
    behind_gate.gate.inserts = 0
    return behind_gate


async def insert(client: Client, table: str, rows: Sequence[NamedTuple], token: str) -> list[Any]:
    inserter = Inserter(client, backoff=Backoff(0.001, 0.01))
    try:
        return list(await asyncio.wait_for(inserter.insert(table, rows, token), 30))
    finally:
        inserter.close()


def count(client: Client, table: str, final: str = "") -> int:
    return int(client.query(f"SELECT count() FROM {table} {final}").result_rows[0][0])


@pytest.mark.parametrize(
    "faults",
    [
        [ANSWER_LOST],
        [ANSWER_LOST] * 5,
        [BODY_CUT, ANSWER_LOST, BODY_CUT],
        [HANGS, ANSWER_LOST],
        *([code] * 6 for code in (252, 241, 164, 242, 243, 159, 60, 516, 372, 735, 999, 1000)),
    ],
    ids=str,
)
async def test_every_row_is_stored_once_whatever_went_wrong(faulty: Faulty, faults: list[str | int]) -> None:
    """In the storage itself, before any merge: a repetition under the same token leaves no second part."""
    faulty.gate.faults.extend(faults)
    assert await insert(faulty.client, TRACES, STORED[TRACES], "flush-1") == []
    assert count(faulty.direct, TRACES) == ROWS
    assert faulty.gate.inserts > len(faults)
    assert not faulty.gate.faults


async def test_blocks_that_were_halved_after_their_answer_got_lost_are_right_by_their_keys(faulty: Faulty) -> None:
    faulty.gate.faults.extend([49, 252, ANSWER_LOST, 241, 241, 395])
    assert await insert(faulty.client, TRACES, STORED[TRACES], "flush-1") == []
    assert count(faulty.direct, "traces") == ROWS


async def test_a_row_that_no_limit_lets_through_is_refused_and_its_neighbours_are_stored(faulty: Faulty) -> None:
    """Else a proxy with a small limit before the store would let one large row stop everybody."""
    rows = [*STORED[TRACES][:2], trace_row(trace_id="large", output=secrets.token_hex(4_000))]
    faulty.gate.too_large = 4_000
    try:
        [refused] = await insert(faulty.client, TRACES, rows, "flush-1")
    finally:
        faulty.gate.too_large = None
    assert refused.row is rows[-1]
    assert count(faulty.direct, "traces") == 2, "the storage has more: rows that proved that the table takes any"


async def test_rows_are_right_without_any_token(faulty: Faulty) -> None:
    """After a crash the same events come under other tokens, in other blocks, maybe after newer rows; the window in
    which ClickHouse knows a token may be over, too. Versions and keys alone must do it."""
    for table in STORED:
        faulty.direct.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0")
    newer = {
        TRACES: [row._replace(row_version=6, name="newer") for row in STORED[TRACES][:50]],
        OBSERVATIONS: [row._replace(row_version=6, name="newer") for row in STORED[OBSERVATIONS][:50]],
    }
    for life, cut in enumerate((ROWS, 110, ROWS)):
        for table, rows in STORED.items():
            for at in range(0, ROWS, cut):
                assert await insert(faulty.direct, table, rows[at : at + cut], f"life-{life}-{at}") == []
        for table, rows in newer.items():
            if not life:
                assert await insert(faulty.direct, table, rows, "newer") == []
    for view in ("traces", "observations", "scores"):
        assert count(faulty.direct, view) == ROWS
    for table in (RAW_EVENTS, OFFSET_RANGES):
        assert count(faulty.direct, table, "FINAL") == ROWS
    for view in ("traces", "observations"):
        assert count(faulty.direct, view, "WHERE name = 'newer'") == 50, "a stale writer does not win"
    total = faulty.direct.query("SELECT sum(total_cost), sum(total_tokens) FROM traces").result_rows[0]
    assert total == (ROWS * STORED[TRACES][0].total_cost, ROWS * 15)
