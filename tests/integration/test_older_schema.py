"""Migrations only add: rows of an older schema stay as they are, and today's worker goes on from them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.migrate import MIGRATIONS, migrate, read_migrations
from tests.fixtures.captures import PROJECT, langfuse_record, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_for, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

LAST_OF_OLD = "0009"  # the first schema with all that a worker needs
EVENTS = 4 * 17


def migrations_up_to(number: str, folder: Path) -> Path:
    """A folder with the older version's migrations."""
    directory = Path(shutil.copytree(MIGRATIONS, folder / "migrations"))
    for path in directory.glob("*.sql"):
        if path.name[:4] > number:
            path.unlink()
    return directory


@pytest.fixture
def old(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The same topics beside a database of the older schema, with nothing in it."""
    settings = stack.settings.model_copy(update={"clickhouse_database": f"{stack.settings.clickhouse_database}_old"})
    applied = migrate(settings, migrations_up_to(LAST_OF_OLD, tmp_path))
    assert 0 < len(applied) < len(read_migrations())
    older = Stack(settings, tmp_path)
    yield older
    older.close()


def fill_as_then(old: Stack, new: Stack) -> dict[str, int]:
    """Rows with the columns that there were; how many of each table."""
    columns: dict[str, list[str]] = {}
    for table, column in old.client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND default_kind != 'MATERIALIZED'"
        " AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'View')"
        " AND table != 'schema_migrations' ORDER BY table, position"
    ).result_rows:
        columns.setdefault(table, []).append(column)
    for table, names in columns.items():
        listed = ", ".join(names)
        old.client.command(
            f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {new.settings.clickhouse_database}.{table}"
        )
    return {table: old.count(f"SELECT count() FROM {table}") for table in columns}


def rows_of_views(stack: Stack) -> dict[str, int]:
    return {view: rows for view, (rows, _) in digest(stack).items()}


def test_rows_of_an_older_schema_stay_and_a_worker_of_today_folds_on(stack: Stack, old: Stack) -> None:
    worker = stack.worker(settle_quiet=0.2, settle_idle=0.5)
    records = list(create_update_traffic(EVENTS))
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    wait_for(stack, "SELECT count() FROM traces WHERE settled", 4)
    worker.stop()

    then = fill_as_then(old, stack)
    assert then["raw_events"] == EVENTS
    assert min(then[table] for table in ("traces_rows", "observations_rows", "offset_ranges")) > 0
    assert migrate(old.settings)
    assert {table: old.count(f"SELECT count() FROM {table}") for table in then} == then
    assert {view: rows for view, (rows, _) in digest(old).items()} == {
        v: rows for v, (rows, _) in digest(stack).items()
    }

    trace_id = f"{0:032x}"
    late = {"id": "late", "type": "span-create", "timestamp": "2026-11-20T13:00:00Z"}
    body = {"id": f"{trace_id}-late", "traceId": trace_id, "name": "late", "startTime": "2026-11-20T12:00:30Z"}
    produce(old.settings, [langfuse_record(late | {"body": body}), records[0]])
    old.worker("today", settle_quiet=0.2, settle_idle=0.5)
    wait_for(old, f"SELECT count() FROM observations WHERE trace_id = '{trace_id}'", 9)
    wait_for(old, "SELECT sum(duplicate) FROM offset_ranges", 1)
    sums = f"observation_count, name, settled FROM traces WHERE project_id = '{PROJECT}' AND trace_id = '{trace_id}'"
    wait_for(old, f"SELECT countIf(observation_count = 9 AND name = 'chat') FROM (SELECT {sums})", 1)
    assert old.count("SELECT count() FROM raw_events") == EVENTS + 1
