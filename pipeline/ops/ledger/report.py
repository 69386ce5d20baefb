"""The balance for people and for programs."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.ops.ledger.balance import Balance, Finding, Kind, Line
from pipeline.ops.ledger.read import Scope

SAYS = {
    Kind.UNCOVERED: "committed, but no stored chunk has them: lost. They are still in the log: spanfold replay",
    Kind.UNPROVEN: "not in any stored chunk, and no longer in the log: nobody can say whether records were there",
    Kind.NOT_IN_LOG: "acknowledged to a front door, but the log did not give them to a worker: Kafka lost them",
    Kind.NOT_ARCHIVED: "stored by the ledger, but not in the archive",
    Kind.NO_DEAD_LETTER: "rejected, but without a dead letter",
    Kind.LOST_MOVING: "sent on to another partition, or left in the overflow, but they came nowhere: lost on the way",
    Kind.LOG_SHORTER: "stored, but the log ends before them: it was made anew, or lost its end, and what it takes now "
    "cannot be told from them. Go on under a new SPANFOLD_TOPIC_PREFIX: docs/operations.md, A log that begins anew",
    Kind.EDGE_UNTOLD: "of a front door are gone: what it accepted is counted too low",
}
_COUNTS = ("accepted", "stored", "duplicate", "rejected", "ignored", "missing", "moved")
MOST_LINES = 50


def print_balance(balance: Balance, scope: Scope, *, as_json: bool) -> None:
    """Sums by project, the minutes that do not add up and what is wrong with them; or all of it as one JSON object."""
    if as_json:
        print(json.dumps(_plain(balance, scope)))
        return
    print(f"{scope.topic} from {scope.start:%Y-%m-%d %H:%M} to {scope.until:%Y-%m-%d %H:%M} UTC, in records")
    table = Table("project", "minutes")
    for name in (*_COUNTS, "at the edge"):
        table.add_column(name, justify="right")
    for line, minutes in [*_by_project(balance.lines), (_named(balance.sums(), "all"), len(balance.lines))]:
        counts = [str(getattr(line, name)) for name in _COUNTS]
        table.add_row(line.project_id or "(nobody)", str(minutes), *counts, str(line.edge))
    Console().print(table)
    broken = [line for line in balance.lines if line.missing]
    for line in broken[:MOST_LINES]:
        print(f"{_time(line.second)} {line.project_id or '(nobody)'}: {line.missing} of {line.accepted} are missing")
    for finding in balance.findings[:MOST_LINES]:
        print(_sentence(finding))
    more = max(len(broken), len(balance.findings)) - MOST_LINES
    if more > 0:
        print(f"... and {more} more: --json tells all")
    waiting = sum(balance.behind.values())
    print(f"{balance.explained} offsets hold no record; {waiting} records are not stored yet")
    if overflowing := sum(balance.overflow.values()):
        print(f"{overflowing} records wait in the overflow")
    print("The ledger balances: accepted = stored + duplicate + rejected + ignored" if balance.balanced
          else "The ledger does not balance.")  # fmt: skip


def _named(line: Line, name: str) -> Line:
    line.project_id = name
    return line


def _by_project(lines: Iterable[Line]) -> list[tuple[Line, int]]:
    """The sum of each project, and of how many minutes."""
    by_project: dict[str, list[Line]] = {}
    for line in lines:
        by_project.setdefault(line.project_id, []).append(line)
    return [(_named(Balance(some).sums(), name), len(some)) for name, some in sorted(by_project.items())]


def _sentence(finding: Finding) -> str:
    if finding.kind is Kind.EDGE_UNTOLD:
        return f"{finding.topic}: publications {finding.first} to {finding.last} {SAYS[finding.kind]}"
    where = f"{finding.topic} partition {finding.partition}"
    if finding.first is not None:
        where += f" offsets {finding.first} to {finding.last}"
    if finding.kind is Kind.LOG_SHORTER:
        return f"{where}: {SAYS[finding.kind]}"
    whose = f" of {finding.project_id} in {_time(finding.second)}" if finding.second is not None else ""
    return f"{where}: {finding.records} records{whose} {SAYS[finding.kind]}"


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _plain(balance: Balance, scope: Scope) -> dict[str, Any]:
    return {
        "balanced": balance.balanced,
        "topic": scope.topic,
        "from": scope.start.isoformat(),
        "to": scope.until.isoformat(),
        "lines": [
            {
                "project_id": line.project_id,
                "minute": _time(line.second),
                "edge": line.edge,
                **{name: getattr(line, name) for name in _COUNTS},
            }
            for line in balance.lines
        ],
        "findings": [_plain_finding(finding) for finding in balance.findings],
        "offsets_without_record": balance.explained,
        "in_overflow": {str(partition): records for partition, records in sorted(balance.overflow.items())},
        "not_stored_yet": {str(partition): records for partition, records in sorted(balance.behind.items())},
    }


def _plain_finding(finding: Finding) -> dict[str, Any]:
    fields = asdict(finding)
    second = fields.pop("second")
    return fields | {"minute": None if second is None else _time(second), "says": SAYS[finding.kind]}
