"""An unmodified clickhouse-connect works with the embedded engine as with a ClickHouse server."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from pipeline.local.clickhouse.server import ServerOptions
from pipeline.local.clickhouse.statuses import CODES_BY_STATUS
from tests.fixtures.clickhouse import SLOW_SELECT, ClickHouseProcess

pytestmark = pytest.mark.stack


@pytest.fixture
def client(clickhouse: ClickHouseProcess, database: str) -> Iterator[Client]:
    client = clickhouse.client(database=database)
    yield client
    client.close()


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"


def running(client: Client, comment: str) -> int:
    sql = "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE {comment:String}"
    return int(client.query(sql, parameters={"comment": f"{comment}%"}).first_item["count()"])


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_an_insert_of_many_blocks_arrives_whole(
    clickhouse: ClickHouseProcess, database: str, compress: str | bool
) -> None:
    client = clickhouse.client(database=database, compress=compress)
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    rows = 120_000
    texts = [f"text {number} of a row that is long enough to fill several blocks" for number in range(rows)]
    summary = client.insert("t", [list(range(rows)), texts], column_names=["a", "b"], column_oriented=True)
    assert summary.written_rows == rows
    assert client.query("SELECT count(), sum(a), uniqExact(b) FROM t").result_rows == [
        (rows, rows * (rows - 1) // 2, rows)
    ]
    assert client.query("SELECT b FROM t ORDER BY a").result_columns[0] == texts
    client.close()


def test_every_column_type_of_the_store_comes_back_as_it_went(client: Client) -> None:
    client.command(
        "CREATE TABLE t (id UInt64, usage Map(LowCardinality(String), UInt64), cost Map(LowCardinality(String), "
        "Decimal(18, 12)), at DateTime64(6, 'UTC'), model LowCardinality(String), tags Array(LowCardinality(String)), "
        "total Nullable(Decimal(18, 12)), level Enum8('DEFAULT' = 1, 'ERROR' = 2), orphan Bool) "
        "ENGINE = MergeTree ORDER BY id"
    )
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    cost = {"total": Decimal("0.000000000001")}
    rows = [
        (1, {"input": 2**60}, cost, at, "gpt", ["a", "é\t\n"], Decimal("1.5"), "ERROR", True),
        (2, {}, {}, at, "", [], None, "DEFAULT", False),
    ]
    client.insert("t", rows)
    assert client.query("SELECT * FROM t ORDER BY id", tz_mode="aware").result_rows == rows


def test_parameters_are_bound_by_the_server(client: Client) -> None:
    long = "x" * 20_000
    values = {"text": "a'b\\c\td\n", "list": ["x", "y'"], "at": datetime(2026, 1, 2, 3, 4, 5, 600000), "long": long}
    sql = "SELECT {text:String}, {list:Array(String)}, {at:DateTime64(6)}, {none:Nullable(String)}, {long:String}"
    row = client.query(sql, parameters={**values, "none": None}).result_rows[0]
    assert row == (values["text"], values["list"], values["at"], None, long)


def test_a_setting_holds_for_its_statement_only(client: Client) -> None:
    sql = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    before = client.command(sql)
    assert client.command(sql, settings={"max_block_size": 1234}) == 1234
    assert client.command(sql) == before


def test_a_memory_limit_is_kept(client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT groupArray(number) FROM numbers(10000000)", settings={"max_memory_usage": 10_000_000})
    assert caught.value.code == 241


def test_a_session_keeps_settings_and_temporary_tables(clickhouse: ClickHouseProcess, database: str) -> None:
    mine, other = clickhouse.client(database=database), clickhouse.client(database=database)
    mine.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    mine.insert("mine", [(7,)])
    mine.command("SET max_block_size = 77")
    assert mine.command("SELECT a FROM mine") == 7
    setting = "SELECT getSetting('max_block_size')"
    assert mine.command(setting, settings={"max_block_size": 88}) == 88
    assert mine.command(setting) == 77
    assert other.command(setting) != 77
    with pytest.raises(DatabaseError):
        other.command("SELECT a FROM mine")


def test_a_session_serves_one_statement_at_a_time(clickhouse: ClickHouseProcess, database: str) -> None:
    slow = clickhouse.client(database=database, session_id=f"{database}-locked")
    same = clickhouse.client(database=database, autogenerate_session_id=False)
    thread = threading.Thread(target=_run_slow, args=(slow, database))
    thread.start()
    wait_until(lambda: running(same, database) == 1)
    with pytest.raises(DatabaseError) as caught:
        same.query("SELECT 1", settings={"session_id": f"{database}-locked"})
    same.command(f"KILL QUERY WHERE Settings['log_comment'] LIKE '{database}%' SYNC")
    thread.join()
    assert caught.value.code == 373


def test_inserts_do_not_wait_although_slow_selects_take_every_slot(
    clickhouse: ClickHouseProcess, client: Client
) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    slots = ServerOptions().queries
    slow = [clickhouse.client() for _ in range(slots)]
    threads = [threading.Thread(target=_run_slow, args=(each, client.database)) for each in slow]
    for thread in threads[:-1]:
        thread.start()
    wait_until(lambda: running(client, str(client.database)) == slots - 1)
    threads[-1].start()
    client.insert("t", [(number,) for number in range(100)])
    assert all(thread.is_alive() for thread in threads)
    client.command(f"KILL QUERY WHERE Settings['log_comment'] LIKE '{client.database}%' SYNC")
    while any(thread.is_alive() for thread in threads):
        client.command(f"KILL QUERY WHERE Settings['log_comment'] LIKE '{client.database}%' SYNC")
    assert client.command("SELECT count() FROM t") == 100


def _run_slow(client: Client, comment: str | None) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(SLOW_SELECT, settings={"log_comment": comment})
    assert caught.value.code == 394


async def test_the_async_client_runs_statements_side_by_side(clickhouse: ClickHouseProcess, database: str) -> None:
    client = await clickhouse_connect.get_async_client(host=clickhouse.host, port=clickhouse.port, database=database)
    await client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    inserts = (client.insert("t", [(part * 1000 + row, "x") for row in range(1000)]) for part in range(8))
    await asyncio.gather(*inserts)
    counts = await asyncio.gather(*(client.query("SELECT count(), max(a) FROM t") for _ in range(8)))
    assert {tuple(each.result_rows[0]) for each in counts} == {(8000, 7999)}
    await client.close()


def test_a_long_answer_is_streamed_and_complete(client: Client) -> None:
    rows = total = 0
    with client.query_column_block_stream("SELECT number FROM numbers(3000000)") as blocks:
        for (numbers,) in blocks:
            rows += len(numbers)
            total += sum(numbers)
    assert (rows, total) == (3_000_000, 2_999_999 * 1_500_000)


def test_an_error_in_the_middle_of_an_answer_reaches_the_client(client: Client) -> None:
    sql = "SELECT throwIf(number = 7000000, 'too far') FROM numbers(8000000)"
    with pytest.raises(StreamFailureError, match="too far"), client.query_row_block_stream(sql) as blocks:
        for _ in blocks:
            pass


def test_a_replayed_insert_with_the_same_token_is_stored_once(client: Client) -> None:
    client.command(
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for token in ("topic-0-1", "topic-0-1", "topic-0-2"):
        client.insert("t", [(1,), (2,)], column_names=["a"], settings={"insert_deduplication_token": token})
    assert client.command("SELECT count() FROM t") == 4


def test_the_newest_version_wins_before_any_merge(client: Client) -> None:
    client.command("SYSTEM STOP MERGES")
    client.command(
        "CREATE TABLE t_rows (id String, name String, v UInt64, is_deleted UInt8) "
        "ENGINE = ReplacingMergeTree(v, is_deleted) ORDER BY id"
    )
    client.command("CREATE VIEW t AS SELECT id, name FROM t_rows FINAL")
    client.insert("t_rows", [("a", "new", 2, 0), ("b", "gone", 1, 0)])
    client.insert("t_rows", [("a", "old", 1, 0), ("b", "gone", 2, 1)])
    assert client.command("SELECT count() FROM system.parts WHERE database = currentDatabase() AND active") == 2
    assert client.query("SELECT * FROM t").result_rows == [("a", "new")]
    client.command("SYSTEM START MERGES")


def test_parameterized_views_work(client: Client) -> None:
    client.command("CREATE VIEW numbered AS SELECT number FROM numbers(10) WHERE number < {top:UInt8}")
    assert client.query("SELECT * FROM numbered(top = {n:UInt8})", parameters={"n": 2}).result_rows == [(0,), (1,)]


def test_rows_of_an_asynchronous_insert_are_there_when_it_returns(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [(1,)], settings={"async_insert": 1, "wait_for_async_insert": 1})
    assert client.command("SELECT count() FROM t") == 1


def test_inserts_that_select_report_their_rows(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    summary = client.command("INSERT INTO t SELECT number FROM numbers(10)")
    assert summary.written_rows == 10  # type: ignore[union-attr]  # an INSERT's command returns a summary


def test_the_status_table_has_the_engines_own_names(client: Client) -> None:
    ours = {code: name for codes in CODES_BY_STATUS.values() for code, name in codes.items()}
    sql = "SELECT code, errorCodeToName(code) FROM (SELECT arrayJoin({codes:Array(Int32)}) AS code)"
    assert dict(client.query(sql, parameters={"codes": list(ours)}).result_rows) == ours
