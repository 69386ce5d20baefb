"""`spanfold sql`: one SELECT against the views, printed as JSON, a table or CSV.

Problem: analysts and scripts want rows without a client of their own, and must not be able to change anything.
Rule: ClickHouse itself writes each format and lines pass through as they arrive, so memory does not grow with the
result. `readonly=1` goes with every query: whatever writes, and SETTINGS in the query, is refused by ClickHouse.
Fails with QueryError, which has ClickHouse's own message. An error that comes after the first rows is found by the
marker that ClickHouse ends a broken answer with (`__exception__`, then a tag that a header announced).
Configured by the `clickhouse_*` settings.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TextIO

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.store.client import connect
from pipeline.store.errors import StoreError, error_code

_FORMATS = {"json": "JSONEachRow", "table": "PrettyCompactMonoBlock", "csv": "CSVWithNames"}
_SETTINGS: Mapping[str, int | str] = {
    "readonly": 1,
    "wait_end_of_query": 1,
    "date_time_output_format": "iso",  # 2025-01-01T00:00:00.000000Z
    "output_format_json_quote_decimals": 1,  # a float would lose digits
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_validate_utf8": 1,
    "output_format_pretty_color": 0,
    "output_format_pretty_row_numbers": 0,
    "output_format_pretty_max_rows": 1_000_000,
    "output_format_pretty_max_value_width": 500,  # characters; a longer value ends in an ellipsis
}
_MARKER = b"__exception__\r\n"
_TAG_HEADER = "X-ClickHouse-Exception-Tag"
_READONLY = 164
_NOISE = re.compile(r"^Received ClickHouse exception, code: \d+, server response: |\s*\(for url [^)]*\)\s*$")


class QueryError(StoreError):
    """ClickHouse refused or broke off a query."""


def print_rows(settings: Settings, query: str, row_format: str, out: TextIO = sys.stdout) -> None:
    """Print the rows of `query`; `row_format` is json, table or csv. Raises QueryError and StoreError."""
    with closing(connect(settings, deadline=5.0, timeout=3600.0)) as client:
        lines = read_lines(client, query.strip().rstrip(";"), row_format)
        for text in json_array(lines) if row_format == "json" else lines:
            out.write(text)
        out.flush()


def read_lines(client: Client, query: str, row_format: str) -> Iterator[str]:
    """The lines of the answer, each with its line end, as they arrive. Raises QueryError."""
    try:
        answer = client.raw_stream(query, fmt=_FORMATS[row_format], settings=dict(_SETTINGS))
    except ClickHouseError as error:
        raise _refused(error) from error
    tag = getattr(answer, "headers", {}).get(_TAG_HEADER, "")
    with answer:
        yield from whole_lines(answer, tag.encode())


def whole_lines(lines: Iterable[bytes], tag: bytes) -> Iterator[str]:
    """Decode lines until the marker of a broken answer; then raise QueryError with the message that follows it."""
    rest = iter(lines)
    for line in rest:
        if tag and line == _MARKER:
            following = next(rest, b"")
            if following.strip() == tag:
                message = b"".join(rest).split(b"\n")[0].decode(errors="replace")
                raise QueryError(f"ClickHouse broke off the query: {message}", remedy="The rows above are not all.")
            yield line.decode(errors="replace")
            line = following
        yield line.decode(errors="replace")


def json_array(lines: Iterable[str]) -> Iterator[str]:
    """One JSON array from lines that hold an object each; `[]` for none."""
    before = "["
    for line in lines:
        if line.strip():
            yield before + line.rstrip("\n")
            before = ",\n"
    yield "[]\n" if before == "[" else "]\n"


def _refused(error: ClickHouseError) -> QueryError:
    message = _NOISE.sub("", _NOISE.sub("", str(error)))
    remedy = "`spanfold sql` only reads; use a ClickHouse client to write." if error_code(error) == _READONLY else ""
    return QueryError(f"ClickHouse refused the query: {message}", remedy=remedy)
