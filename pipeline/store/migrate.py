"""Brings the database to the tables and views of this version: migrations/*.sql, in the order of their names.

Rule: one statement a file, written so that doing it twice does nothing; applied files are recorded with their
checksum in `schema_migrations`. Two processes may run this at once. An applied file never changes; a change is a new
file. `{database}`, `{on_cluster}` and `{replicated}` are filled in from the settings.
Failure: MigrationError names the file. What was applied before it stays and is skipped next time.
Configured by `clickhouse_database` and `clickhouse_cluster` (set: Replicated engines on that cluster).
"""

import hashlib
import re
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.store.client import connect
from pipeline.store.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BOOTSTRAP = 2  # the first files make the database and the table of records


class MigrationError(StoreError):
    """A migration cannot be applied."""


class Migration(NamedTuple):
    """One file; `sql` still has its placeholders."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(settings: Settings, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing; the names of the files applied now, [] when all was there. Raises MigrationError."""
    migrations = read_migrations(directory)
    with closing(connect(settings, database="default")) as client:
        for migration in migrations[:_BOOTSTRAP]:
            _apply(client, migration, settings)
        recorded = _recorded(client, settings)
        missing = [migration for migration in migrations if not _done(migration, recorded)]
        for migration in missing:
            _apply(client, migration, settings)
            _record(client, migration, settings)
        return [migration.name for migration in missing]


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """All files, in order."""
    return [Migration(path.name, path.read_text("utf-8")) for path in sorted(directory.glob("*.sql"))]


def render(migration: Migration, settings: Settings) -> str:
    """The statement for these settings. Raises SettingError where a name is not a plain identifier."""
    cluster = settings.clickhouse_cluster
    for setting, name in (("DATABASE", settings.clickhouse_database), ("CLUSTER", cluster)):
        if name and not _IDENTIFIER.fullmatch(name):
            raise SettingError(
                f"SPANFOLD_CLICKHOUSE_{setting} is {name!r}.", remedy="Use letters, digits and underscores only."
            )
    return (
        migration.sql.replace("{database}", settings.clickhouse_database)
        .replace("{on_cluster}", f"ON CLUSTER {cluster}" if cluster else "")
        .replace("{replicated}", "Replicated" if cluster else "")
    )


def _done(migration: Migration, recorded: dict[str, str]) -> bool:
    checksum = recorded.get(migration.name)
    if checksum not in (None, migration.checksum):
        raise MigrationError(
            f"{migration.name} was applied to this database in another form (checksum {checksum[:12]}).",
            remedy="Restore the file as it was and put the change into a new migration.",
        )
    return checksum is not None


def _apply(client: Client, migration: Migration, settings: Settings) -> None:
    try:
        client.command(render(migration, settings))
    except ClickHouseError as error:
        raise MigrationError(
            f"{migration.name} failed: {error}", remedy="Correct the cause and run `spanfold migrate` again."
        ) from error


def _recorded(client: Client, settings: Settings) -> dict[str, str]:
    table = f"{settings.clickhouse_database}.schema_migrations"
    rows = client.query(f"SELECT name, checksum FROM {table} ORDER BY applied_at DESC").result_rows  # noqa: S608 name checked
    return {str(name): str(checksum) for name, checksum in rows}


def _record(client: Client, migration: Migration, settings: Settings) -> None:
    client.insert(
        "schema_migrations",
        [[migration.name, migration.checksum]],
        ["name", "checksum"],
        database=settings.clickhouse_database,
        column_type_names=["String", "String"],
        settings={"async_insert": 0},
    )
