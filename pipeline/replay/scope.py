"""Which traces a replay makes anew: those with an archived event that the log took in a time range.

A trace is made anew as a whole, from all of its events. Traces are asked for page by page in the order of the archive's
key, so the server holds no list of them, and how far a replay has come is the name of one trace.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.store.lookups import TraceKey
from pipeline.store.rows import EPOCH_STEP

SQL = Path(__file__).parent / "sql"
PAGE_TRACES = 5_000
NOTHING: TraceKey = ("", "")
BIG_QUERY = {"max_query_size": 4 * 2**20}


@dataclass(frozen=True, slots=True)
class Scope:
    """From `start` (included) until `until` (excluded) by the log's time; empty: any project, any trace."""

    start: datetime
    until: datetime
    project: str = ""
    traces: tuple[str, ...] = ()

    def parameters(self, after: TraceKey) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "start": _text(self.start),
            "until": _text(self.until),
            "project": self.project,
            "traces": self.traces,
            "after_project": after[0],
            "after_trace": after[1],
        }

    def query(self, name: str) -> str:
        """The text of a query with the conditions that this scope needs."""
        project = "AND project_id = %(project)s" if self.project else ""
        traces = "AND trace_id IN %(traces)s" if self.traces else ""
        return sql(name).format(only=f"{project} {traces}")


class Chosen(NamedTuple):
    """A trace to make anew, how many distinct events it has and their bytes; `first_seen` in microseconds."""

    project_id: str
    trace_id: str
    first_seen: int
    events: int
    bytes: int

    @property
    def name(self) -> TraceKey:
        """(project, trace)."""
        return self.project_id, self.trace_id


def chosen(client: Client, scope: Scope, after: TraceKey) -> Iterator[Chosen]:
    """The traces of the scope behind `after`, in order."""
    while True:
        parameters = {**scope.parameters(after), "limit": PAGE_TRACES}
        page = [Chosen(*row) for row in client.query(scope.query("page"), parameters=parameters).result_rows]
        yield from page
        if len(page) < PAGE_TRACES:
            return
        after = page[-1].name


def total(client: Client, scope: Scope, after: TraceKey) -> int:
    """About how many they are."""
    [[count]] = client.query(scope.query("total"), parameters=scope.parameters(after)).result_rows
    return int(count)


class Made(NamedTuple):
    """What a trace's rows were made from: the row_version that wins, and the fullest that any epoch had.

    `fullest` is twice the number of events, and one more where the trace was settled with them.
    """

    version: int
    fullest: int

    @property
    def is_overtaken(self) -> bool:
        """A fuller row, or a settled one, of an earlier epoch came too late to win."""
        return self.version % EPOCH_STEP < self.fullest


def made(client: Client, traces: Sequence[Chosen]) -> dict[TraceKey, Made]:
    """For each of these that has a row where `client` looks, also where it was deleted."""
    parameters = {"keys": tuple(each.name for each in traces), **hours(each.first_seen for each in traces)}
    rows = client.query(sql("made"), parameters=parameters, settings=BIG_QUERY).result_rows
    return {(str(project), str(trace)): Made(int(version), int(fullest)) for project, trace, version, fullest in rows}


def hours(times: Iterable[int]) -> dict[str, Any]:
    """The hours of these times (microseconds), as the tables' keys have them."""
    found = sorted({time // 3_600_000_000 * 3_600 for time in times})
    return {"hours": tuple(datetime.fromtimestamp(hour, UTC) for hour in found)}


@cache
def sql(name: str) -> str:
    """The text of a query beside this file."""
    return (SQL / f"{name}.sql").read_text("utf-8")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
