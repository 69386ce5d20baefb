"""What the store tells: coverage, outcomes, counts of the edge, the archive. SQL in sql/*.sql; all of it reads only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.ops.ledger.balance import Accounted, Edge, Slot
from pipeline.store.lookups import BIG_QUERY
from pipeline.store.retention import FOREVER

SQL = Path(__file__).parent / "sql"
_MINUTE_IS = "{} >= toDateTime64(%(start)s, 6, 'UTC') AND {} < toDateTime64(%(until)s, 6, 'UTC')"
_OF_THE_MINUTES = (
    f"arrayExists(each -> {_MINUTE_IS.format('each', 'each')}, minutes)",
    _MINUTE_IS.format("minute", "minute"),
)  # chunks, and what is chosen of them
_MOVED = ("arrayExists(each -> startsWith(each, 'moved:'), receivers)", "startsWith(receiver, 'moved:')")


@dataclass(frozen=True, slots=True)
class Scope:
    """Minutes of the log from `start` (included) until `until` (excluded), of one project or, with "", of all.

    `limits`: partition -> an offset from which on the log has no record of these minutes; without any, all is read.
    """

    topic: str
    start: datetime
    until: datetime
    project: str = ""
    limits: Mapping[int, int] = field(default_factory=dict)

    @property
    def within(self) -> str:
        """Chunks that begin before the limit of their partition, as a condition that the table's key can answer."""
        if not self.limits:
            return "1"
        return " OR ".join(f"(partition = {number:d} AND first < {end:d})" for number, end in self.limits.items())

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "topic": self.topic,
            "start": _minute(self.start),
            "until": _minute(self.until),
            "project": self.project,
        }


class Untold(NamedTuple):
    """Publications `first` to `last` of a front door that are not there; what came after was told at `second`."""

    topic: str
    instance: str
    first: int
    last: int
    second: int


class Covered(NamedTuple):
    """A partition as its stored chunks tell of it: offsets `begin` to `end` (excluded) but for the gaps between."""

    partition: int
    begin: int
    end: int
    gaps: list[tuple[int, int]]  # first and last, both included


def covered(client: Client, scope: Scope) -> list[Covered]:
    """Every partition of which the ledger knows anything; gaps only where something was stored since the start."""
    query = sql("covered").format(within=scope.within)
    rows = client.query(query, parameters=scope.parameters()).result_rows
    return [Covered(int(row[0]), int(row[1]), int(row[2]), [(int(a), int(b)) for a, b in row[3]]) for row in rows]


def accounted(client: Client, scope: Scope) -> list[Accounted]:
    """What became of the records of the scope."""
    return _outcomes(client, scope, scope.within, *_OF_THE_MINUTES)


def arrived(client: Client, scope: Scope) -> list[Accounted]:
    """What became of records that were moved, from whatever minute, and stored since the scope began."""
    return _outcomes(client, scope, "1", *_MOVED)


def _outcomes(client: Client, scope: Scope, within: str, chunks: str, chosen: str) -> list[Accounted]:
    query = sql("outcomes").format(within=within, chunks=chunks, chosen=chosen)
    rows = client.query(query, parameters=scope.parameters()).result_rows
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
        sql("archive_begins"), parameters={"projects": names, "forever": FOREVER}
    ).result_rows}  # fmt: skip


def untold(client: Client, scope: Scope) -> list[Untold]:
    """Publications of front doors that are missing between others of theirs."""
    rows = client.query(sql("untold"), parameters=scope.parameters()).result_rows
    return [Untold(str(row[0]), str(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows]


def not_archived(client: Client, topic: str, slot: Slot, outcome: str = "stored") -> list[int]:
    """Offsets of a slot that became this and of which the archive has nothing, ascending, at most 10,000."""
    parameters = {
        "topic": topic, "project": slot.project_id, "second": slot.second, "partition": slot.partition,
        "outcome": outcome,
    }  # fmt: skip
    return [int(row[0]) for row in client.query(sql("not_archived"), parameters=parameters).result_rows]


def archived_anywhere(client: Client, traces: Sequence[tuple[str, str]]) -> set[tuple[str, str, str, bytes]]:
    """(project, trace, event id, identity) of all archived events of these traces."""
    found: set[tuple[str, str, str, bytes]] = set()
    for at in range(0, len(traces), 500):
        parameters = {"traces": tuple(traces[at : at + 500])}
        rows = client.query(
            sql("archived_anywhere"),
            parameters=parameters,
            settings=BIG_QUERY,
            column_formats={"identity": "bytes"},
        ).result_rows
        found.update((str(row[0]), str(row[1]), str(row[2]), bytes(row[3])) for row in rows)
    return found


@cache
def sql(name: str) -> str:
    """The text of a query beside this file."""
    return (SQL / f"{name}.sql").read_text("utf-8")


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:00")
