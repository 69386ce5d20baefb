"""The migration files: readable, one statement each, right for one server and for a cluster."""

import re

import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.store.migrate import Migration, read_migrations, render
from pipeline.store.rows import ObservationRow, ScoreRow, TraceRow

MIGRATIONS = read_migrations()
ONE_SERVER = Settings(clickhouse_database="spanfold", clickhouse_cluster="")
CLUSTER = Settings(clickhouse_database="spanfold", clickhouse_cluster="main")

every_migration = pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda migration: migration.name)


def statement(migration: Migration, settings: Settings) -> str:
    """Without comments and with single spaces."""
    return " ".join(re.sub(r"--.*", "", render(migration, settings)).split())


def test_migrations_are_numbered_without_gaps() -> None:
    assert [int(migration.name[:4]) for migration in MIGRATIONS] == list(range(len(MIGRATIONS)))


@every_migration
def test_a_migration_is_one_commented_statement_that_may_run_twice(migration: Migration) -> None:
    assert migration.sql.startswith("-- ")
    assert ";" not in statement(migration, ONE_SERVER)
    assert re.search(
        r"IF NOT EXISTS|IF EXISTS|OR REPLACE|UPDATE (\w+) = (.+) WHERE \1 < \2$", statement(migration, ONE_SERVER)
    )


@every_migration
def test_no_placeholder_is_left(migration: Migration) -> None:
    for settings in (ONE_SERVER, CLUSTER):
        rendered = re.sub(r"{\w+:\w+}", "", statement(migration, settings))  # a view's parameters stay
        assert not re.search(r"[{}]", rendered)


@every_migration
def test_a_cluster_gets_replicated_engines_everywhere(migration: Migration) -> None:
    sql = statement(migration, CLUSTER)
    assert "ON CLUSTER main" in sql
    assert ("ENGINE =" in sql) == ("ENGINE = ReplicatedReplacingMergeTree" in sql)
    assert "ON CLUSTER" not in statement(migration, ONE_SERVER)
    assert "Replicated" not in statement(migration, ONE_SERVER)


@pytest.mark.parametrize("name", ["a b", "a;b", "a`b", "1a", "a.b"])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="DATABASE"):
        render(MIGRATIONS[0], Settings(clickhouse_database=name))
    with pytest.raises(SettingError, match="CLUSTER"):
        render(MIGRATIONS[0], Settings(clickhouse_cluster=name))


@pytest.mark.parametrize(
    ("view", "row"), [("traces", TraceRow), ("observations", ObservationRow), ("scores", ScoreRow)]
)
def test_a_view_shows_the_columns_of_its_rows_in_order(view: str, row: type) -> None:
    made = re.compile(rf"CREATE (OR REPLACE )?VIEW (IF NOT EXISTS )?spanfold\.{view} ")
    migration = [migration for migration in MIGRATIONS if made.search(statement(migration, ONE_SERVER))][-1]
    columns = statement(migration, ONE_SERVER).split("SELECT ")[1].split(" FROM ")[0].split(", ")
    fields = [name for name in row._fields if name not in ("score_group", "is_deleted", "expires_at")]  # type: ignore[attr-defined]
    assert columns == fields


@pytest.mark.parametrize("table", ["traces_rows", "observations_rows", "scores_rows"])
def test_a_tables_key_holds_only_what_never_changes(table: str) -> None:
    (migration,) = (migration for migration in MIGRATIONS if migration.name.endswith(f"_{table}.sql"))
    sql = statement(migration, ONE_SERVER)
    assert "PARTITION BY toYYYYMMDD(first_seen) ORDER BY (project_id, toStartOfHour(first_seen), trace_id" in sql
