"""The chDB engine: one per data directory and process, many connections.

Problem: chDB's connections share one engine, but a connection runs one statement at a time and keeps its settings,
its database and its temporary tables.
Rule: a request gets a connection of its own (0.4 ms), or its session's; nothing of a request's settings stays.
Fails: every refusal of the engine is a `ClickHouseError`; a crash in native code ends the process.
Configured by: `EngineOptions`.
"""

import fcntl
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO
from urllib.parse import urlencode

import chdb

from pipeline.errors import SpanfoldError
from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.statement import insert_from_file

_SETTING_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_SERVER_LIKE = {"implicit_select": "0"}  # clickhouse-local, which chDB is, has other defaults than a server

LOCK_FILE = "spanfold.lock"
_SPOOL = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # memory, where there is such a place


class DataInUseError(SpanfoldError):
    """A second process wants a data directory; two engines on one would destroy it, and chDB does not check."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Bounds for an engine that shares its machine with a broker and workers."""

    memory_ratio: float = 0.4
    """Part of the machine's memory that all queries together may take."""
    background_threads: int = 2
    """Threads for merges; the same for other background work."""
    mark_cache_bytes: int = 256 * 2**20
    """Largest cache of index marks."""
    config: Path | None = None
    """A configuration file of ClickHouse's own, for what has no option here, such as where backups may go."""

    def connection_string(self, data: Path) -> str:
        """What chDB connects to; every connection of a process must use the same."""
        own = {"config-file": str(self.config)} if self.config else {}
        return f"{data}?" + urlencode(
            own
            | {
                "log-level": "none",
                "max_server_memory_usage_to_ram_ratio": self.memory_ratio,
                "background_pool_size": self.background_threads,
                "background_schedule_pool_size": self.background_threads,
                "mark_cache_size": self.mark_cache_bytes,
                "uncompressed_cache_size": 0,
            }
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a statement did, for X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


class Connection:
    """One chDB connection, used by one thread at a time. All methods block."""

    def __init__(self, connection_string: str) -> None:
        self._raw: Any = chdb.connect(connection_string)
        self._applied: dict[str, str] = {}
        self._own: dict[str, str] = {}
        self._own_database = "default"
        self._database = "default"
        self._run(_set_statement(_SERVER_LIKE))

    def configure(self, database: str, settings: Mapping[str, str]) -> None:
        """Make exactly these settings and this database hold; '' and absent ones fall back to the session's own."""
        for name in settings:
            if not _SETTING_NAME.match(name):
                raise ClickHouseError.raised(Code.UNKNOWN_SETTING, f"Unknown setting '{name}'")
        wanted = database or self._own_database
        if wanted != self._database:
            self._run(f"USE {_quoted_name(wanted)}")
            self._database = wanted
        fallbacks = {**_SERVER_LIKE, **self._own}
        left_over = {name: fallbacks.get(name) for name in self._applied if name not in settings}
        changed = {name: value for name, value in settings.items() if self._applied.get(name) != value}
        if left_over or changed:
            self._run(_set_statement({**left_over, **changed}))
        self._applied = dict(settings)

    def keep_changes(self) -> None:
        """After a SET or USE: what holds now belongs to the session. Call `configure("", {})` before the statement."""
        rows = self.query("SELECT name, value FROM system.settings WHERE changed", "TSVRaw", {})[0].decode()
        self._own = dict(line.split("\t", 1) for line in rows.splitlines() if "\t" in line)
        self._database = self._own_database = self.query("SELECT currentDatabase()", "TSVRaw", {})[0].decode().strip()

    def query(self, sql: str | bytes, output: str, parameters: Mapping[str, str]) -> tuple[bytes, Counts]:
        """Run a statement to its end and return its whole answer."""
        result = self._run(sql, output, parameters)
        counts = Counts(
            result.storage_rows_read(), result.storage_bytes_read(), result.rows_written(), result.bytes_written()
        )
        return bytes(result.bytes()), counts

    def stream(self, sql: str, output: str, parameters: Mapping[str, str]) -> "Blocks":
        """Start a SELECT whose answer is read block by block, in memory that does not grow with it."""
        try:
            return Blocks(self._raw.send_query(sql, output, params=dict(parameters)))
        except RuntimeError as error:
            raise ClickHouseError.from_engine(str(error)) from None

    def insert(self, head: str, data_format: str, pieces: Iterable[bytes], parameters: Mapping[str, str]) -> Counts:
        """Insert data of that format; rows are durable and visible when this returns, none are if it raises.

        The data goes through a file: chDB's streaming insert reports success for rows that the table refused.
        """
        if parameters:
            self._run(_set_statement({f"param_{name}": value for name, value in parameters.items()}))
        with NamedTemporaryFile(dir=_SPOOL, prefix="spanfold-insert-") as spool:
            for piece in pieces:
                spool.write(piece)
            spool.flush()
            result = self._run(insert_from_file(head, _quoted(spool.name), data_format))
        written = result.rows_written(), result.bytes_written()
        return Counts(*written, *written)

    def classify(self, sql: str) -> tuple[str, int]:
        """The engine's view of a statement: READ_ONLY, MUTATING, CONTROL or UNKNOWN, and how many statements it is."""
        found = self._raw._conn.classify_query(sql)  # the public wrapper does not pass this method on
        return found["query_class"].name, int(found["statement_count"])

    def close(self) -> None:
        """Give the connection back to the engine; its temporary tables are gone."""
        self._raw.close()

    def _run(self, sql: str | bytes, output: str = "Null", parameters: Mapping[str, str] | None = None) -> Any:
        try:
            return self._raw.query(sql, output, params=dict(parameters or {}))
        except RuntimeError as error:
            raise ClickHouseError.from_engine(str(error)) from None


class Blocks:
    """The blocks of one running SELECT."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.rows = 0

    def next(self) -> bytes | None:
        """The next block's bytes; None after the last."""
        try:
            block = self._stream.fetch()
        except RuntimeError as error:
            raise ClickHouseError.from_engine(str(error)) from None
        if block is None:
            return None
        self.rows += block.rows_read()
        return bytes(block.bytes())

    def close(self) -> None:
        """Stop the SELECT if it still runs."""
        self._stream.close()


class Engine:
    """The engine of one data directory. A directory belongs to one process at a time."""

    def __init__(self, data: Path, options: EngineOptions | None = None) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._owner = _own(data)
        self._target = (options or EngineOptions()).connection_string(data)
        self._control = Connection(self._target)  # also keeps the engine alive between requests
        self._control_lock = threading.Lock()
        version, zone = self._ask("SELECT version(), timezone()").split("\t")
        self.version: str = version
        self.timezone: str = zone

    def connect(self) -> Connection:
        """A new connection with default settings."""
        return Connection(self._target)

    def kill(self, log_comment: str) -> None:
        """Stop the running statements with that `log_comment`; '' stops all. Returns before they have ended."""
        where = f"Settings['log_comment'] = {_quoted(log_comment)}" if log_comment else "1"
        self._ask(f"KILL QUERY WHERE {where} ASYNC")

    def close(self) -> None:
        """Close the engine; all other connections must be closed before."""
        self._control.close()
        self._owner.close()

    def _ask(self, sql: str) -> str:
        with self._control_lock:
            return self._control.query(sql, "TSV", {})[0].decode().strip()


def _own(data: Path) -> BinaryIO:
    """Lock a data directory. The lock ends with the process, however it ends; a stale file does not matter."""
    file = (data / LOCK_FILE).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        message = f"The ClickHouse data in {data} is already used by another process."
        raise DataInUseError(message, remedy="Stop that process or choose another directory.") from None
    return file


def _set_statement(values: Mapping[str, str | None]) -> str:
    pairs = (f"{name} = {'DEFAULT' if value is None else _quoted(value)}" for name, value in values.items())
    return "SET " + ", ".join(pairs)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted_name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
