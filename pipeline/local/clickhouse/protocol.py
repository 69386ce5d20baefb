"""ClickHouse's HTTP requests: from URL, headers and body to one statement with its parameters and settings.

Rule: the statement is the URL's `query`, a newline, and the body, as in ClickHouse; `param_x` are the values of
`{x:Type}`; the names in `TRANSPORT` steer the request; every other URL parameter is a setting of this statement.
Fails: `ClickHouseError`; what ClickHouse has and this server has not (native block framing, external tables,
`input()`) is 48 (NOT_IMPLEMENTED), never half done.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.local.clickhouse.errors import ClickHouseError, Code
from pipeline.local.clickhouse.statement import HEAD_BYTES, is_insert, is_light, output_format, split_insert

TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check", "user",
        "password", "quota_key", "compress", "decompress", "wait_end_of_query", "buffer_size", "stacktrace",
        "client_protocol_version", "close_session", "role",
    }
)  # fmt: skip
DEFAULT_FORMAT = "TabSeparated"
DEFAULT_SESSION_TIMEOUT = 60.0
LONGEST_SESSION_TIMEOUT = 3600.0
_NOT_OFFERED = {
    "compress": "ClickHouse's native block framing (compress=1); use Accept-Encoding",
    "decompress": "ClickHouse's native block framing (decompress=1); use Content-Encoding",
}
_INPUT_FUNCTION = re.compile(r"\binput\s*\(", re.IGNORECASE)
_SELECT = re.compile(r"\bSELECT\b", re.IGNORECASE)
_INTO_OUTFILE = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT that brings its data: statement without FORMAT, the data's format, the data in pieces."""

    head: str
    format: str
    data: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """One statement as asked for, before it has a connection."""

    statement: str | Insert
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    output: str = DEFAULT_FORMAT
    query_id: str = ""
    session_id: str = ""
    session_timeout: float = DEFAULT_SESSION_TIMEOUT
    session_check: bool = False
    close_session: bool = False
    read_only: bool = False
    """Asked for by GET: only statements that change nothing."""

    @property
    def brings_rows(self) -> bool:
        """Whether rows come with the statement; such inserts have a lane of their own."""
        if isinstance(self.statement, Insert):
            return True
        return is_insert(self.statement) and not _SELECT.search(self.statement)

    @property
    def light(self) -> bool:
        """Whether the statement takes no time."""
        return not isinstance(self.statement, Insert) and is_light(self.statement)

    @property
    def tag(self) -> str:
        """The statement's `log_comment`, by which it can be found and stopped."""
        comment = self.settings.get("log_comment", "")
        return f"{comment} {self.query_id}".strip()

    @property
    def stops_with_client(self) -> bool:
        """Whether the statement is to be stopped when its client goes away (ClickHouse's own setting)."""
        wanted = self.settings.get("cancel_http_readonly_queries_on_client_close", "0")
        inserts = isinstance(self.statement, Insert) or is_insert(self.statement)
        return wanted in ("1", "true") and not inserts


def read_request(
    url: Mapping[str, str], headers: Mapping[str, str], body: Iterator[bytes], *, query_id: str, read_only: bool
) -> Request:
    """Read one request. `body` is decompressed; `query_id` is used when the client names none."""
    _refuse_what_is_missing(url)
    statement = read_statement(url.get("query", ""), body)
    named = output_format(statement) if isinstance(statement, str) else ""
    return Request(
        statement=statement,
        parameters={name.removeprefix("param_"): value for name, value in url.items() if name.startswith("param_")},
        settings={
            name: value for name, value in url.items() if name not in TRANSPORT and not name.startswith("param_")
        },
        database=url.get("database") or headers.get("X-ClickHouse-Database", ""),
        output=named or url.get("default_format") or headers.get("X-ClickHouse-Format", DEFAULT_FORMAT),
        query_id=url.get("query_id") or query_id,
        session_id=url.get("session_id", ""),
        session_timeout=_timeout(url.get("session_timeout", "")),
        session_check=url.get("session_check", "0") == "1",
        close_session=url.get("close_session", "0") == "1",
        read_only=read_only,
    )


def read_statement(query: str, body: Iterator[bytes]) -> str | Insert:
    """The statement: text to run, or an INSERT with its data still to be read from `body`."""
    text = f"{query}\n".encode() if query else b""
    for piece in body:
        text += piece
        if len(text) >= HEAD_BYTES:
            break
    head = split_insert(text)
    if head is not None:
        first = text[head.data_at :]
        return Insert(head.sql, head.format, itertools.chain((first,) if first else (), body))
    return _text_statement(text + b"".join(body))


def _text_statement(text: bytes) -> str:
    try:
        sql = text.decode()
    except UnicodeDecodeError as error:
        raise ClickHouseError.raised(Code.SYNTAX_ERROR, f"The statement is not UTF-8: {error}") from error
    if not sql.strip():
        raise ClickHouseError.raised(Code.SYNTAX_ERROR, "Syntax error: Empty query")
    if is_insert(sql) and _INPUT_FUNCTION.search(sql):
        raise ClickHouseError.raised(Code.NOT_IMPLEMENTED, "The table function input() is not supported here")
    return sql


def refuse_outfile(sql: str) -> None:
    """INTO OUTFILE would write on the server's disk. For statements that the engine does not call read-only."""
    if _INTO_OUTFILE.search(sql):
        raise ClickHouseError.raised(Code.INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed")


def _refuse_what_is_missing(url: Mapping[str, str]) -> None:
    for name, what in _NOT_OFFERED.items():
        if url.get(name, "0") not in ("0", "false", ""):
            raise ClickHouseError.raised(Code.NOT_IMPLEMENTED, f"This server does not speak {what}")


def _timeout(text: str) -> float:
    try:
        seconds = float(text) if text else DEFAULT_SESSION_TIMEOUT
    except ValueError as error:
        raise ClickHouseError.raised(Code.BAD_ARGUMENTS, f"Invalid session timeout: '{text}'") from error
    if not 0 < seconds <= LONGEST_SESSION_TIMEOUT:
        message = f"Session timeout '{text}' is not between 0 and {LONGEST_SESSION_TIMEOUT:.0f} seconds"
        raise ClickHouseError.raised(Code.BAD_ARGUMENTS, message)
    return seconds
