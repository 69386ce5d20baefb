"""One statement on one connection, in steps that block and therefore run in a thread.

Rule: 1 take a connection, 2 check, 3 apply settings, 4 run. The first `HELD_BYTES` of an answer are held back, so
that an error within them has its code and status; a longer answer is read block by block while it is sent.
Only SELECTs in formats that are a mere row of blocks can be read so; others (JSON, Arrow, WITH TOTALS …) are
built in memory by the engine, bounded by its memory limit.
"""

import re
import time
from dataclasses import dataclass, field

from pipeline.local.clickhouse.engine import Blocks, Connection, Counts, Engine
from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.protocol import Insert, Request, refuse_outfile
from pipeline.local.clickhouse.session import Sessions
from pipeline.local.clickhouse.statement import answers_in_blocks, changes_session

HELD_BYTES = 4 << 20
_BLOCK_FORMATS = frozenset({"native", "rowbinary", "tabseparated", "tsv", "csv", "jsoneachrow", "jsoncompacteachrow"})
_TOTALS = re.compile(r"\bTOTALS\b", re.IGNORECASE)


@dataclass(slots=True)
class Opening:
    """The beginning of an answer; `complete` when it is all of it."""

    body: bytes = b""
    complete: bool = True
    has_result: bool = False
    """Whether the statement answers with rows, be they none; clients of DDL and inserts want none of it."""
    counts: Counts = field(default_factory=Counts)
    result_rows: int = 0
    elapsed_ns: int = 0


class Execution:
    """Runs one request. Call `start`, then `more` until None if the opening was not complete, and always `finish`."""

    def __init__(self, engine: Engine, sessions: Sessions, request: Request) -> None:
        self._engine = engine
        self._sessions = sessions
        self._request = request
        self._connection: Connection | None = None
        self._blocks: Blocks | None = None

    def start(self) -> Opening:
        """Run the statement until it is done or `HELD_BYTES` of its answer are there."""
        began = time.perf_counter_ns()
        connection = self._connection = self._sessions.take(self._request)
        statement = self._request.statement
        if isinstance(statement, Insert):
            opening = self._insert(connection, statement)
        else:
            opening = self._text(connection, statement)
        opening.elapsed_ns = time.perf_counter_ns() - began
        return opening

    def more(self) -> bytes | None:
        """The next block of the answer, None after the last."""
        return self._blocks.next() if self._blocks else None

    def stop(self) -> None:
        """Ask the engine to stop this statement, from any thread; the running step then raises."""
        self._engine.kill(self._request.tag)

    def finish(self) -> None:
        """Stop what still runs and give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._blocks:
                self._blocks.close()
        finally:
            self._sessions.give_back(self._request, connection)

    def _insert(self, connection: Connection, insert: Insert) -> Opening:
        if self._request.read_only:
            raise _read_only()
        self._configure(connection)
        return Opening(counts=connection.insert(insert.head, insert.format, insert.data, self._request.parameters))

    def _text(self, connection: Connection, sql: str) -> Opening:
        self._check(connection, sql)
        if changes_session(sql):
            connection.configure("", {})
            opening = self._whole(connection, sql)
            connection.keep_changes()
            return opening
        self._configure(connection)
        return self._in_blocks(connection, sql) if self._can_stream(sql) else self._whole(connection, sql)

    def _check(self, connection: Connection, sql: str) -> None:
        """Refuse what the engine would do and an HTTP server must not."""
        kind, statements = connection.classify(sql)
        if statements > 1:
            message = f"Syntax error (Multi-statements are not allowed): {statements} statements in one request"
            raise ClickHouseError.raised(Code.SYNTAX_ERROR, message)
        if kind == "CONTROL":
            refuse_outfile(sql)
        if self._request.read_only and kind not in ("READ_ONLY", "UNKNOWN"):
            raise _read_only()

    def _configure(self, connection: Connection) -> None:
        connection.configure(self._request.database, {**self._request.settings, "log_comment": self._request.tag})

    def _can_stream(self, sql: str) -> bool:
        plain = self._request.output.lower() in _BLOCK_FORMATS and self._request.settings.get("extremes", "0") == "0"
        return plain and answers_in_blocks(sql) and not _TOTALS.search(sql)

    def _whole(self, connection: Connection, sql: str) -> Opening:
        body, counts = connection.query(sql, self._request.output, self._request.parameters)
        has_result = bool(body) or connection.classify(sql)[0] == "READ_ONLY"
        return Opening(body=body, has_result=has_result, counts=counts)

    def _in_blocks(self, connection: Connection, sql: str) -> Opening:
        blocks = self._blocks = connection.stream(sql, self._request.output, self._request.parameters)
        held = bytearray()
        while len(held) < HELD_BYTES:
            block = blocks.next()
            if block is None:
                return Opening(bytes(held), has_result=True, result_rows=blocks.rows)
            held += block
        return Opening(bytes(held), complete=False, has_result=True, result_rows=blocks.rows)


def _read_only() -> ClickHouseError:
    message = "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. Use POST"
    return ClickHouseError.raised(Code.READONLY, message)
