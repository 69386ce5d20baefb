"""The work in pieces that ClickHouse and this process handle with ease: whole traces, found by their key.

A piece is a part of one project's hour of `first_seen`, which is what the tables are ordered by; a lively hour is cut
by a hash of the trace id. What matters is told by the observations: their start time, model and project.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

SQL = Path(__file__).parent / "sql"
PIECE_ROWS = 20_000  # observations of one piece, about: some megabytes here, one small part there


@dataclass(frozen=True, slots=True)
class Scope:
    """Which traces to price again: those with an observation that starts from (included) until (excluded), has the
    model and is the project's; empty text: any. A trace is priced as a whole."""

    start: datetime
    until: datetime
    project: str = ""
    model: str = ""

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {"start": _text(self.start), "until": _text(self.until), "project": self.project, "model": self.model}


class Piece(NamedTuple):
    """Traces of a project first seen in the hour that begins at `hour` (Unix seconds), one of `buckets` parts."""

    number: int
    project_id: str
    hour: int
    buckets: int
    bucket: int

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "project_id": self.project_id,
            "hour": self.hour,
            "buckets": self.buckets,
            "bucket": self.bucket,
            "piece": self.number,
        }


def pieces(client: Client, scope: Scope) -> list[Piece]:
    """All pieces that hold an observation of the scope, in the order of the tables' key."""
    return list(_cut(client, scope))


def _cut(client: Client, scope: Scope) -> Iterator[Piece]:
    number = 0
    for project_id, hour, rows in client.query(sql("pieces"), parameters=scope.parameters()).result_rows:
        buckets = -(-int(rows) // PIECE_ROWS)
        for bucket in range(buckets):
            yield Piece(number, str(project_id), int(hour), buckets, bucket)
            number += 1


@cache
def sql(name: str) -> str:
    """The text of a query beside this file."""
    return (SQL / f"{name}.sql").read_text("utf-8")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
