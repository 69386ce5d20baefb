"""`spanfold sql` against the real engine: formats, read-only, ClickHouse's own messages."""

import io
import json
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.ops.sql import QueryError, print_rows
from pipeline.store.insert import Inserter
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, settings_for, trace_row

ONE_OF_EACH = """
SELECT toDateTime64('2025-01-01 01:02:03.5', 6, 'UTC') AS time, toDecimal64('12345.000000000001', 12) AS amount,
    map('input', toUInt64(18446744073709551615)) AS tokens, map('input', toDecimal64('0.1', 12)) AS cost,
    NULL AS missing, ['a'] AS list, true AS flag, 'line\\nbreak ü' AS text
"""


def answer(settings: Settings, query: str, row_format: str = "json") -> str:
    out = io.StringIO()
    print_rows(settings, query, row_format, out)
    return out.getvalue()


@pytest.fixture
def settings(clickhouse: ClickHouseProcess, database: str) -> Settings:
    return settings_for(clickhouse.url, database)


def test_json_is_one_array_with_times_decimals_maps_and_numbers_as_promised(settings: Settings) -> None:
    assert json.loads(answer(settings, ONE_OF_EACH)) == [
        {
            "time": "2025-01-01T01:02:03.500000Z",
            "amount": "12345.000000000001",
            "tokens": {"input": 18446744073709551615},
            "cost": {"input": "0.1"},
            "missing": None,
            "list": ["a"],
            "flag": True,
            "text": "line\nbreak ü",
        }
    ]


def test_no_rows_are_an_empty_array(settings: Settings) -> None:
    assert answer(settings, "SELECT 1 WHERE 0") == "[]\n"


def test_a_semicolon_at_the_end_is_welcome(settings: Settings) -> None:
    assert json.loads(answer(settings, "SELECT 1 AS one;\n")) == [{"one": 1}]


def test_csv_has_a_header_and_tables_have_borders(settings: Settings) -> None:
    query = "SELECT number AS n, 'a,b' AS s FROM numbers(2)"
    assert answer(settings, query, "csv") == '"n","s"\n0,"a,b"\n1,"a,b"\n'
    assert answer(settings, query, "table").splitlines()[1:3] == ["│ 0 │ a,b │", "│ 1 │ a,b │"]


async def test_the_views_can_be_read_without_naming_the_database(clickhouse: ClickHouseProcess, database: str) -> None:
    with migrated(clickhouse.url, database) as client:
        await insert(client, trace_id="t-1", total_cost=Decimal("0.000030"))
        rows = json.loads(answer(settings_for(clickhouse.url, database), "SELECT trace_id, total_cost FROM traces"))
    assert rows == [{"trace_id": "t-1", "total_cost": "0.00003"}]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO traces_rows (trace_id) VALUES ('x')",
        "INSERT INTO FUNCTION null('n UInt8') SELECT 1",
        "DROP TABLE traces_rows",
        "ALTER TABLE traces_rows DELETE WHERE 1",
        "TRUNCATE TABLE traces_rows",
        "CREATE TABLE other (n UInt8) ENGINE = Memory",
    ],
)
async def test_whatever_writes_is_refused(clickhouse: ClickHouseProcess, database: str, statement: str) -> None:
    with migrated(clickhouse.url, database) as client:
        await insert(client)
        with pytest.raises(QueryError, match="ClickHouse refused"):
            answer(settings_for(clickhouse.url, database), statement)
        assert client.command("SELECT count() FROM traces_rows") == 1


def test_a_mistake_is_told_in_the_words_of_clickhouse(settings: Settings) -> None:
    with pytest.raises(QueryError, match=r"Code: 62.*Syntax error"):
        answer(settings, "SELEC 1")
    with pytest.raises(QueryError, match="no_such_table"):
        answer(settings, "SELECT * FROM no_such_table")


def test_a_query_that_breaks_off_after_many_rows_fails_and_gives_no_whole_array(settings: Settings) -> None:
    out = io.StringIO()
    with pytest.raises(QueryError, match="throwIf"):
        print_rows(settings, "SELECT number, throwIf(number = 3000000) FROM numbers(10000000)", "json", out)
    assert not out.getvalue().endswith("]\n")


async def insert(client: Client, **changes: Any) -> None:
    """One trace."""
    inserter = Inserter(client)
    await inserter.insert("traces_rows", [trace_row(**changes)], "token")
    inserter.close()
