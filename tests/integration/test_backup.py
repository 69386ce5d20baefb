"""Backup and restore by the very statements of docs/operations.md, but into a folder."""

import re
from pathlib import Path

import pytest

from pipeline.store import tables
from pipeline.store.insert import Inserter
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, observation_row, offset_range_row, raw_event_row, score_row, trace_row

pytestmark = pytest.mark.stack

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
VIEWS = ("traces", "observations", "scores")
ROWS = {
    tables.TRACES: [trace_row()],
    tables.OBSERVATIONS: [observation_row()],
    tables.SCORES: [score_row()],
    tables.RAW_EVENTS: [raw_event_row("a"), raw_event_row("b")],
    tables.OFFSET_RANGES: [offset_range_row(0, 9)],
}


def statements(first_word: str, database: str, folder: Path) -> list[str]:
    """The block of the page that begins so, about this database and folder."""
    (block,) = re.findall(rf"```sql\s+({first_word} .*?)```", PAGE, re.DOTALL)
    block = re.sub(r"S3\('https://…/(\w+)'\)", lambda found: f"File('{folder / found[1]}')", block)
    return [each.strip().replace("spanfold", database) for each in block.split(";") if each.strip()]


async def test_what_was_backed_up_comes_back_with_its_views(clickhouse: ClickHouseProcess) -> None:
    folder = clickhouse.data / "backups"
    with migrated(clickhouse.url, "backed_up") as client:
        inserter = Inserter(client)
        for table, rows in ROWS.items():
            assert await inserter.insert(table, rows, "once") == []
        inserter.close()
        before = {
            view: client.query(f"SELECT * FROM {view}").result_rows for view in ("traces", "observations", "scores")
        }
        for statement in statements("BACKUP", "backed_up", folder):
            client.command(statement)
        client.command("DROP DATABASE backed_up SYNC")
    with_no_database = clickhouse.client()
    for statement in statements("CREATE DATABASE", "backed_up", folder):
        with_no_database.command(statement)
    with_no_database.close()
    client = clickhouse.client(database="backed_up")
    assert {view: client.query(f"SELECT * FROM {view}").result_rows for view in before} == before
    assert client.query("SELECT count() FROM raw_events").result_rows == [(2,)]
    assert client.query("SELECT sum(records) FROM offset_ranges").result_rows == [(10,)]
    client.command("DROP DATABASE backed_up SYNC")
    client.close()
