"""Which traces may be wrong: a look with SQL that leaves out none that is, and costs little. Reads only."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.audit.scope import KEPT, PIECE_TRACES, Piece, Recent, Scope, text
from pipeline.ops.ledger.read import Covered, covered
from pipeline.ops.ledger.read import Scope as LedgerScope
from pipeline.store.lookups import TraceKey

SQL = Path(__file__).parent / "sql"
MOST = 100_000  # suspects of one piece; more than that is another kind of trouble
ALL, EVERY = 1.0, 10**9  # a sample that leaves none out
HOLES_SINCE = timedelta(hours=1)
NO_ARCHIVE = 2**32 - 1  # as pieces.sql says it
SPLIT_TRACES = 2_000_000  # looked at together when traces under two keys are sought


class Look(NamedTuple):
    """What one look found: suspects, and how many traces it compared."""

    suspects: list[TraceKey]
    traces: int


def pieces(client: Client, scope: Scope, now: datetime) -> list[Piece]:
    """The scope in pieces, in the order of the tables' key."""
    found: list[Piece] = []
    rows = client.query(sql("pieces"), parameters=scope.parameters()).result_rows
    keeps: dict[str, int] = {}  # seconds that a project's archive keeps at least
    for project_id, _, _, kept in rows:
        if kept != NO_ARCHIVE:
            keeps[project_id] = min(keeps.get(project_id, kept), kept)
    shortest = min(keeps.values(), default=KEPT)  # of a project of which nothing is archived any more
    for project_id, day, traces, _ in rows:
        buckets = max(-(-int(traces) // PIECE_TRACES), 1)
        since = max(int(now.timestamp()) - keeps.get(project_id, shortest), 0)
        found += [Piece(str(project_id), int(day), buckets, bucket, since) for bucket in range(buckets)]
    return found


def suspects(client: Client, where: Piece | Recent) -> Look:
    """Traces of which archive and rows do not agree at first sight."""
    if isinstance(where, Recent) and not where.hours:
        return Look([], 0)  # nothing but duplicates came
    query = sql("suspects").format(**where.conditions())
    [(some, traces)] = client.query(query, parameters={**where.parameters(), "most": MOST}).result_rows
    return Look([(str(project), str(trace)) for project, trace in some], int(traces))


def sample(client: Client, where: Piece | Recent, share: float, most: int) -> list[TraceKey]:
    """At most so many archived traces, a share (0 to 1) of all; the same ones each time, by the hash of their names."""
    query = sql("sample").format(**where.conditions())
    parameters = {**where.parameters(), "millionths": round(share * 1_000_000), "most": most}
    return [(str(project), str(trace)) for project, trace in client.query(query, parameters=parameters).result_rows]


def split(client: Client, scope: Scope, traces: int) -> Iterator[TraceKey]:
    """Traces that show under two keys; `traces` is how many the scope has, about."""
    buckets = max(-(-traces // SPLIT_TRACES), 1)
    for bucket in range(buckets):
        parameters = {**scope.parameters(), "buckets": buckets, "bucket": bucket, "most": MOST}
        for project_id, trace_id in client.query(sql("split"), parameters=parameters).result_rows:
            yield str(project_id), str(trace_id)


def stored_now(client: Client, topic: str) -> list[Covered]:
    """How far each partition is stored, and the holes among what was stored of late.

    A hole that is older than that is no chunk in flight, it is the ledger's business.
    """
    now = datetime.now(UTC)
    return covered(client, LedgerScope(topic, now - HOLES_SINCE, now))


def stored_before(client: Client, topic: str, moment: datetime) -> dict[int, int]:
    """Partition -> the offset (excluded) up to which it was stored at a moment."""
    parameters = {"topic": topic, "moment": text(moment)}
    rows = client.query(sql("stored_before"), parameters=parameters).result_rows
    return {int(partition): int(end) for partition, end in rows}


def came_since(client: Client, topic: str, moment: datetime) -> datetime | None:
    """The minute of the log from which on records were stored since a moment; None where none were.

    Each partition counts from where it ended before, at most eight days earlier.
    """
    parameters = {"topic": topic, "moment": text(moment)}
    [(second, partitions)] = client.query(sql("came_since"), parameters=parameters).result_rows
    return datetime.fromtimestamp(int(second), UTC) if partitions else None


def recent(client: Client, topic: str, bounds: dict[int, tuple[int, int]]) -> Recent:
    """Traces with an event between these offsets, and in which hours they were first seen."""
    where = Recent(topic, bounds)
    [(begin, end)] = client.query(sql("taken"), parameters=where.parameters()).result_rows
    where = where._replace(taken=(int(begin), int(end)))
    query = sql("recent_hours").format(recent=where.condition())
    rows = client.query(query, parameters=where.parameters()).result_rows
    return where._replace(hours=tuple(sorted(int(row[0]) for row in rows)))


@cache
def sql(name: str) -> str:
    """The text of a query beside this file."""
    return (SQL / f"{name}.sql").read_text("utf-8")
