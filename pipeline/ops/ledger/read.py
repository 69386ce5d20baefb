"""What the store tells: coverage, outcomes, counts of the edge, the archive. SQL in sql/*.sql; all of it reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.ops.ledger.balance import Accounted, Edge, Slot

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class Scope:
    """Minutes of the log from `start` (included) until `until` (excluded), of one project or, with "", of all."""

    topic: str
    start: datetime
    until: datetime
    project: str = ""

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "topic": self.topic,
            "start": _minute(self.start),
            "until": _minute(self.until),
            "project": self.project,
        }


class Covered(NamedTuple):
    """A partition as its stored chunks tell of it: offsets `begin` to `end` (excluded) but for the gaps between."""

    partition: int
    begin: int
    end: int
    gaps: list[tuple[int, int]]  # first and last, both included


def covered(client: Client, scope: Scope) -> list[Covered]:
    """Every partition of which the ledger knows anything; gaps only where something was stored since the start."""
    rows = client.query(sql("covered"), parameters=scope.parameters()).result_rows
    return [Covered(int(row[0]), int(row[1]), int(row[2]), [(int(a), int(b)) for a, b in row[3]]) for row in rows]


def accounted(client: Client, scope: Scope) -> list[Accounted]:
    """What became of the records of the scope."""
    rows = client.query(sql("outcomes"), parameters=scope.parameters()).result_rows
    return [Accounted(Slot(*row[:3]), *row[3:]) for row in rows]


def edges(client: Client, scope: Scope) -> list[Edge]:
    """What front doors have accepted."""
    rows = client.query(sql("edge"), parameters=scope.parameters()).result_rows
    return [Edge(Slot(*row[:3]), *row[3:]) for row in rows]


def archived(client: Client, scope: Scope) -> dict[Slot, int]:
    """Records of which the archive has events."""
    rows = client.query(sql("archived"), parameters=scope.parameters()).result_rows
    return {Slot(*row[:3]): int(row[3]) for row in rows}


def dead_letters(client: Client, scope: Scope) -> dict[Slot, int]:
    """Records that are among the dead letters because they could not be decoded."""
    rows = client.query(sql("dead_letters"), parameters=scope.parameters()).result_rows
    return {Slot(*row[:3]): int(row[3]) for row in rows}


def archive_begins(client: Client, projects: Iterable[str]) -> dict[str, int]:
    """Project -> the second from which its archive has anything; projects without an archive are left out."""
    names = tuple(projects)
    if not names:
        return {}
    return {str(name): int(second) for name, second in client.query(
        sql("archive_begins"), parameters={"projects": names}
    ).result_rows}  # fmt: skip


def not_archived(client: Client, topic: str, slot: Slot) -> list[int]:
    """Offsets of a slot that should be in the archive and are not, ascending, at most 10,000."""
    parameters = {"topic": topic, "project": slot.project_id, "second": slot.second, "partition": slot.partition}
    return [int(row[0]) for row in client.query(sql("not_archived"), parameters=parameters).result_rows]


def archived_anywhere(client: Client, traces: Sequence[tuple[str, str]]) -> set[tuple[str, str, str, bytes]]:
    """(project, trace, event id, identity) of all archived events of these traces."""
    found: set[tuple[str, str, str, bytes]] = set()
    for at in range(0, len(traces), 500):
        parameters = {"traces": tuple(traces[at : at + 500])}
        rows = client.query(
            sql("archived_anywhere"), parameters=parameters, column_formats={"identity": "bytes"}
        ).result_rows
        found.update((str(row[0]), str(row[1]), str(row[2]), bytes(row[3])) for row in rows)
    return found


@cache
def sql(name: str) -> str:
    """The text of a query beside this file."""
    return (SQL / f"{name}.sql").read_text("utf-8")


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:00")
