"""Comparing the witnesses: what was accepted, what became of it, and where the two differ. Pure.

A line is a project in a minute of the log. `accepted` is what has been accepted as far as any witness tells: the
records that the log gave to workers, and beyond them those that a front door was acknowledged and the log does not
show. So accepted = stored + duplicate + rejected + ignored + missing, and the ledger balances where missing is 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

OWN_WAYS = frozenset({"kafka", "evaluator"})  # routes into the log that pass no front door
MOVED = "moved"  # how the route of a moved copy begins; stream/outcomes.py
OTHERS = "(others)"  # projects of a chunk that has too many of them to name; stream/outcomes.py
LETTERS_KEPT = 80 * 86_400_000_000  # microseconds: younger rejected records still have their dead letter
LETTERS_WITHIN = 300_000_000  # microseconds from a rejected record to its row among the dead letters


class Kind(StrEnum):
    """What a finding says; the comment is its documentation."""

    UNCOVERED = "uncovered"  # records that the workers' group has committed and no stored chunk covers
    UNPROVEN = "unproven"  # such offsets, but the log no longer holds them: nobody can say whether there were records
    NOT_IN_LOG = "not_in_log"  # a front door was acknowledged more records than the log gave to workers
    NOT_ARCHIVED = "not_archived"  # records that the ledger calls stored and the archive has nothing of
    NO_DEAD_LETTER = "no_dead_letter"  # rejected records without a dead letter
    LOST_MOVING = "lost_moving"  # records that left for another partition, or for the overflow, and came nowhere
    LOG_SHORTER = "log_shorter"  # the log ends before what is stored of it: it was made anew, or lost its end
    EDGE_UNTOLD = "edge_untold"  # publications of a front door are gone: its counts are too low and prove less


class Slot(NamedTuple):
    """A project in a minute of the log, in one partition; `second` since the epoch."""

    project_id: str
    second: int
    partition: int


class Accounted(NamedTuple):
    """Records of a slot that came by one route and became one thing; `stored_last` in microseconds."""

    slot: Slot
    receiver: str
    outcome: str
    records: int
    stored_last: int


class Edge(NamedTuple):
    """Records that front doors were acknowledged, between two offsets (both included)."""

    slot: Slot
    records: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up: so many records of a project and minute between two offsets, both included.

    `first` and `last` are None where no offsets are known. `second` is None, and `project_id` empty, where the records
    cannot be read any more. `edge_untold` has no partition (-1): `records` counts publications, `first` and `last` are
    their numbers. `log_shorter` counts offsets: those from the log's end to the end of what is stored.
    """

    kind: Kind
    topic: str
    partition: int
    first: int | None
    last: int | None
    records: int
    project_id: str = ""
    second: int | None = None


@dataclass(slots=True)
class Line:
    """One project in one minute; `edge` are records that front doors were acknowledged.

    `moved` ones were sent on to another partition, and are counted there: they are not among the accepted.
    """

    project_id: str
    second: int
    edge: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    ignored: int = 0
    missing: int = 0
    moved: int = 0

    @property
    def accepted(self) -> int:
        """Everything that was accepted, as far as anybody tells."""
        return self.stored + self.duplicate + self.rejected + self.ignored + self.missing


@dataclass(slots=True)
class Balance:
    """All lines in order, what does not add up, and what was looked at."""

    lines: list[Line]
    findings: list[Finding] = field(default_factory=list)
    explained: int = 0  # offsets between chunks at which the log has no record
    behind: dict[int, int] = field(default_factory=dict)  # partition -> records in the log that are not stored yet
    overflow: dict[int, int] = field(default_factory=dict)  # partition -> records that wait in the overflow

    @property
    def broken(self) -> list[Finding]:
        """Findings that prove a loss."""
        return [finding for finding in self.findings if finding.kind is not Kind.UNPROVEN]

    @property
    def balanced(self) -> bool:
        """True where nothing is missing."""
        return not self.broken

    def sums(self) -> Line:
        """All lines together."""
        total = Line("", 0)
        for line in self.lines:
            for name in ("edge", "stored", "duplicate", "rejected", "ignored", "missing", "moved"):
                setattr(total, name, getattr(total, name) + getattr(line, name))
        return total


def lines_of(accounted: Iterable[Accounted], edges: Iterable[Edge]) -> dict[tuple[str, int], Line]:
    """A line for each project and minute that anybody tells of."""
    lines: dict[tuple[str, int], Line] = {}

    def line(slot: Slot) -> Line:
        return lines.setdefault((slot.project_id, slot.second), Line(slot.project_id, slot.second))

    for each in accounted:
        at = line(each.slot)
        setattr(at, each.outcome, getattr(at, each.outcome) + each.records)
    for edge in edges:
        line(edge.slot).edge += edge.records
    return lines


def not_in_log(
    topic: str, edges: Iterable[Edge], accounted: Iterable[Accounted], stored_to: Mapping[int, int]
) -> list[Finding]:
    """Slots of which front doors were acknowledged more than the log gave to workers.

    `stored_to`: partition -> the offset up to which chunks were stored before `accounted` was read. Fewer at the edge
    is no finding: a front door that was killed had no time to tell, and an acknowledgement may be lost on its way.
    """
    through_doors: dict[Slot, int] = {}
    for each in accounted:
        if each.receiver not in OWN_WAYS and not each.receiver.startswith(MOVED):
            through_doors[each.slot] = through_doors.get(each.slot, 0) + each.records
    findings = []
    for edge in edges:
        missing = edge.records - through_doors.get(edge.slot, 0)
        if missing > 0 and edge.last < stored_to.get(edge.slot.partition, 0):
            first, last = (edge.first, edge.last) if edge.first <= edge.last else (None, None)
            slot = edge.slot
            findings.append(
                Finding(Kind.NOT_IN_LOG, topic, slot.partition, first, last, missing, slot.project_id, slot.second)
            )
    return findings


def short(
    accounted: Iterable[Accounted], outcome: str, found: Mapping[Slot, int], stored_before: int
) -> dict[Slot, int]:
    """Slots of which fewer records are found than the ledger says had this outcome, and by how many.

    Slots in which something was stored at `stored_before` (microseconds) or later are left for the next look.
    """
    told: dict[Slot, int] = {}
    recent: set[Slot] = set()
    for each in accounted:
        if each.outcome == outcome:
            told[each.slot] = told.get(each.slot, 0) + each.records
            if each.stored_last >= stored_before:
                recent.add(each.slot)
    return {
        slot: records - found.get(slot, 0)
        for slot, records in told.items()
        if records > found.get(slot, 0) and slot not in recent and slot.project_id != OTHERS
    }


def runs(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending offsets as stretches without a hole, first and last included."""
    stretches: list[tuple[int, int]] = []
    for offset in offsets:
        if stretches and stretches[-1][1] == offset - 1:
            stretches[-1] = (stretches[-1][0], offset)
        else:
            stretches.append((offset, offset))
    return stretches
