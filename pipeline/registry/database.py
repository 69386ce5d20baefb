"""Connections to the registry's database, with the same promises on SQLite and PostgreSQL.

SQLite: write-ahead log, foreign keys, 10 s of patience with other writers; a writing transaction takes the write lock
when it begins, because one that starts by reading fails at once where another process writes in between. PostgreSQL: as
it comes. `lock` makes "look, then insert" safe between processes on both.
"""

from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError

from pipeline.folders import make_folder

SQLITE_BUSY_SECONDS = 10
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", "does not exist", "no password supplied", "certificate")
_ADVISORY_LOCK = 0x5BA4F01D  # any number, the same in every Spanfold process


def connect(url: str) -> Engine:
    """An engine for `url`; a SQLite file's folder is made. Nothing is opened yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    _make_folder(parsed)
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def is_absent(url: str, error: Exception) -> bool:
    """True for an error with which a database server does not answer; one that refuses us does, and a file has none."""
    if not isinstance(error, OperationalError) or make_url(url).get_backend_name() == "sqlite":
        return False
    return not any(words in str(error) for words in _REFUSALS)


def writing(engine: Engine) -> Engine:
    """The same connections, for transactions that will write."""
    return engine.execution_options(spanfold_begin="BEGIN IMMEDIATE")


def lock(connection: Connection) -> None:
    """Wait for other processes that hold this; ends with the transaction. SQLite's writers have it anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _make_folder(url: URL) -> None:
    if url.database and url.database != ":memory:":
        make_folder(Path(url.database).parent, "SPANFOLD_DATA_DIR or SPANFOLD_REGISTRY_URL")


def _prepare_sqlite(connection: SqliteConnection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own: `_begin_sqlite` does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("spanfold_begin", "BEGIN"))
