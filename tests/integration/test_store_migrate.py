"""Migrations and connecting, on the real engine."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import SettingError
from pipeline.local.ports import find_free_port
from pipeline.store.client import connect
from pipeline.store.errors import StoreError
from pipeline.store.migrate import MIGRATIONS, MigrationError, migrate, read_migrations
from pipeline.store.tables import TABLES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, settings_for

ALL = [migration.name for migration in read_migrations()]


def test_migrating_twice_applies_everything_once(clickhouse: ClickHouseProcess, database: str) -> None:
    settings = settings_for(clickhouse.url, database)
    assert migrate(settings) == ALL
    assert migrate(settings) == []


def test_migrating_creates_the_database(clickhouse: ClickHouseProcess, database: str) -> None:
    settings = settings_for(clickhouse.url, f"{database}_new")
    assert migrate(settings) == ALL
    client = connect(settings)
    assert client.command("SELECT count() FROM traces") == 0
    client.command(f"DROP DATABASE {database}_new SYNC")
    client.close()


def test_processes_that_migrate_at_once_all_succeed(clickhouse: ClickHouseProcess, database: str) -> None:
    settings = settings_for(clickhouse.url, database)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: migrate(settings), range(4)))
    assert ALL in results
    assert migrate(settings) == []


def test_a_migration_that_changed_after_it_was_applied_is_an_error(
    clickhouse: ClickHouseProcess, database: str, tmp_path: Path
) -> None:
    settings = settings_for(clickhouse.url, database)
    migrate(settings)
    directory = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    changed = directory / ALL[3]
    changed.write_text(changed.read_text() + "-- one more line\n")
    with pytest.raises(MigrationError, match=f"{ALL[3]} was applied.*new migration"):
        migrate(settings, directory)


def test_a_migration_that_fails_is_named_and_tried_again_next_time(
    clickhouse: ClickHouseProcess, database: str, tmp_path: Path
) -> None:
    settings = settings_for(clickhouse.url, database)
    directory = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    extra = directory / "9999_extra.sql"
    extra.write_text("-- wrong\nCREATE VIEW IF NOT EXISTS {database}.extra AS SELECT nothing FROM {database}.nowhere")
    with pytest.raises(MigrationError, match=r"9999_extra\.sql failed"):
        migrate(settings, directory)
    extra.write_text("-- right\nCREATE VIEW IF NOT EXISTS {database}.extra AS SELECT trace_id FROM {database}.traces")
    assert migrate(settings, directory) == ["9999_extra.sql"]


def test_the_tables_columns_are_the_rows_fields_with_their_types(clickhouse: ClickHouseProcess, database: str) -> None:
    with migrated(clickhouse.url, database) as client:
        for table in TABLES.values():
            result = client.query(
                "SELECT name, type FROM system.columns WHERE database = %(database)s AND table = %(table)s"
                " AND default_kind != 'MATERIALIZED' ORDER BY position",
                parameters={"database": database, "table": table.name},
            )
            filled = [row for row in result.result_rows if row[0] != "expires_at" or "expires_at" in table.columns]
            assert dict(filled) == dict(table.columns)
            assert [name for name, _ in filled] == list(table.columns)


def test_connecting_to_a_database_that_is_missing_says_to_migrate(clickhouse: ClickHouseProcess) -> None:
    with pytest.raises(StoreError, match="spanfold migrate"):
        connect(settings_for(clickhouse.url, "nowhere"))


def test_connecting_where_nothing_listens_gives_up_at_the_deadline() -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with pytest.raises(StoreError, match=r"did not answer within 0\.5 s: Connection refused\. Check"):
        connect(settings_for(url, "spanfold"), deadline=0.5)


def test_connecting_waits_for_a_server_that_is_starting(tmp_path: Path) -> None:
    server = ClickHouseProcess(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        connecting = threads.submit(connect, settings_for(server.url, "default"), deadline=60.0)
        server.start()
        try:
            client = connecting.result(timeout=60)
            assert client.command("SELECT 1") == 1
            client.close()
        finally:
            server.stop()


@pytest.mark.parametrize("url", ["localhost:8123", "clickhouse://localhost", "http://"])
def test_a_url_of_another_protocol_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="HTTP interface"):
        connect(settings_for(url, "spanfold"))


def test_a_mark_from_before_it_was_kept_for_long_stays_as_long_as_a_new_one(
    clickhouse: ClickHouseProcess, database: str, tmp_path: Path
) -> None:
    """Its letter may stay for years, and without its mark would be open again."""
    settings = settings_for(clickhouse.url, database)
    before = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    for path in before.glob("*.sql"):
        if path.name >= "0040":
            path.unlink()
    migrate(settings, before)
    client = connect(settings)
    mark = (
        "INSERT INTO dead_letter_states (topic, offset, timestamp, state, state_at) VALUES ('t', {}, now(), 'x', now())"
    )
    client.command(mark.format(0))
    assert migrate(settings) == [name for name in ALL if name >= "0040"]
    client.command(mark.format(1))
    years = "SELECT groupArray(dateDiff('year', state_at, expires_at)) FROM dead_letter_states"
    deadline = time.monotonic() + 20
    while client.query(years).result_rows != [([20, 20],)]:  # the store rewrites parts by itself
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.close()
