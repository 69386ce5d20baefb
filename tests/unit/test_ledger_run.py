"""The ledger's order of work with made-up witnesses: which hole is a loss, and which record is elsewhere."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import event_identity, record_key
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.ops.ledger import moving, read, run
from pipeline.ops.ledger.balance import Accounted, Balance, Edge, Slot
from pipeline.ops.ledger.balance import Kind as Wrong
from pipeline.ops.ledger.log import Bounds
from pipeline.ops.ledger.read import Covered, Scope, Untold
from pipeline.ops.ledger.report import print_balance
from pipeline.ops.ledger.run import take_balance

TOPIC, OVERFLOW = "spanfold.events", "spanfold.events.overflow"
SECOND = 1_764_000_000 // 60 * 60
SCOPE = Scope(TOPIC, datetime.fromtimestamp(SECOND, UTC), datetime.fromtimestamp(SECOND + 60, UTC))
SLOT = Slot("p", SECOND, 0)


def record(offset: int, project: str = "p") -> Record:
    event = Event(project, "t", Kind.TRACE, "t", f"e{offset}", Micros(1), {})
    named = ((headers.CONTENT_TYPE, headers.CANONICAL_JSON),)
    return Record(
        TOPIC, 0, offset, Micros(SECOND * 1_000_000), record_key(project, "t"), to_canonical_json(event), named
    )


@dataclass
class Witnesses:
    """What each of them says."""

    bounds: dict[int, Bounds] = field(default_factory=lambda: {0: Bounds(0, 10, 10)})
    covered: list[Covered] = field(default_factory=lambda: [Covered(0, 0, 10, [])])
    log: dict[int, Record] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    accounted: list[Accounted] = field(default_factory=list)
    archived: dict[Slot, int] = field(default_factory=dict)
    letters: dict[Slot, int] = field(default_factory=dict)
    not_archived: list[int] = field(default_factory=list)
    archive_begins: int = SECOND - 60
    anywhere: set[tuple[str, str, str, bytes]] = field(default_factory=set)
    limits: dict[int, int] = field(default_factory=dict)
    overflow: dict[int, Bounds] = field(default_factory=dict)
    overflow_log: dict[int, Record] = field(default_factory=dict)
    overflow_edges: list[Edge] = field(default_factory=list)
    arrived: list[Accounted] = field(default_factory=list)
    untold: list[Untold] = field(default_factory=list)
    asked: list[Scope] = field(default_factory=list)  # for outcomes
    later: dict[int, Bounds] = field(default_factory=dict)  # what the log has when it is asked again


class FakeLog:
    """A topic of which the witnesses tell."""

    def __init__(self, witnesses: Witnesses, overflow: bool = False) -> None:
        self._witnesses, self._overflow = witnesses, overflow

    @property
    def overflow(self) -> "FakeLog":
        return FakeLog(self._witnesses, overflow=True)

    async def bounds(self) -> dict[int, Bounds]:
        if self._overflow:
            return self._witnesses.overflow
        bounds, self._witnesses.bounds = self._witnesses.bounds, self._witnesses.later or self._witnesses.bounds
        return bounds

    async def limits(self, moment: datetime) -> dict[int, int]:
        return self._witnesses.limits

    async def records(self, partition: int, first: int, last: int) -> AsyncIterator[Record]:
        async for each in self.at(partition, range(first, last + 1)):
            yield each

    async def at(self, partition: int, offsets: Iterable[int]) -> AsyncIterator[Record]:
        has = self._witnesses.overflow_log if self._overflow else self._witnesses.log
        for offset in offsets:
            if offset in has:
                yield has[offset]


async def balance(witnesses: Witnesses, patch: pytest.MonkeyPatch) -> Balance:
    @asynccontextmanager
    async def open_log(_: Settings) -> AsyncIterator[FakeLog]:
        yield FakeLog(witnesses)

    def edges(_: Any, scope: Scope) -> list[Edge]:
        return witnesses.edges if scope.topic == TOPIC else witnesses.overflow_edges

    def accounted(_: Any, scope: Scope) -> list[Accounted]:
        witnesses.asked.append(scope)
        return witnesses.accounted

    def untold(_: Any, scope: Scope) -> list[Untold]:
        return [each for each in witnesses.untold if each.topic == scope.topic]

    patch.setattr(run, "open_log", open_log)
    patch.setattr(moving, "STORED_WITHIN", 0.0)
    for name, answers in (("edges", edges), ("accounted", accounted), ("untold", untold)):
        patch.setattr(read, name, answers)
    for name, answer in (
        ("covered", witnesses.covered), ("arrived", witnesses.arrived),
        ("archived", witnesses.archived), ("dead_letters", witnesses.letters),
        ("archive_begins", {"p": witnesses.archive_begins}), ("not_archived", witnesses.not_archived),
        ("archived_anywhere", witnesses.anywhere),
    ):  # fmt: skip
        patch.setattr(read, name, lambda *_, answer=answer: answer)
    return await take_balance(Settings(), Any, SCOPE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "covered", "found"),
    [
        (Bounds(0, 10, 10), Covered(0, 0, 10, []), []),
        (Bounds(0, 10, 10), Covered(0, 0, 10, [(3, 5)]), [(3, 5, 3)]),  # between chunks
        (Bounds(0, 10, 10), Covered(0, 0, 10, [(3, 5), (8, 8)]), [(3, 5, 3), (8, 8, 1)]),
        (Bounds(0, 10, 10), Covered(0, 4, 10, []), [(0, 3, 4)]),  # before the first
        (Bounds(0, 10, 10), Covered(0, 0, 7, []), [(7, 9, 3)]),  # after the last, and committed
        (Bounds(0, 10, 7), Covered(0, 0, 7, []), []),  # on its way
        (Bounds(0, 10, 4), Covered(0, 0, 10, [(5, 6)]), []),  # a chunk whose traces are being read back
        (Bounds(0, 10, 6), Covered(0, 0, 10, [(5, 7)]), [(5, 5, 1)]),
        (Bounds(2, 10, 10), Covered(0, 2, 10, []), []),
        (Bounds(0, 10, None), Covered(0, 0, 0, []), []),
    ],
)
async def test_a_committed_offset_with_a_record_that_no_chunk_covers_is_a_loss(
    bounds: Bounds, covered: Covered, found: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    witnesses = Witnesses({0: bounds}, [covered], {offset: record(offset) for offset in range(10)})
    result = await balance(witnesses, monkeypatch)
    assert [(f.first, f.last, f.records) for f in result.findings] == found
    assert all((f.kind, f.project_id, f.second) == (Wrong.UNCOVERED, "p", SECOND) for f in result.findings)
    assert sum(line.missing for line in result.lines) == sum(records for _, _, records in found)
    assert result.balanced is not bool(found)


async def test_a_hole_without_a_record_in_the_log_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses = Witnesses(covered=[Covered(0, 0, 10, [(3, 5), (8, 8)])], log={8: record(8)})
    result = await balance(witnesses, monkeypatch)
    assert [(f.first, f.records) for f in result.findings] == [(8, 1)]
    assert result.explained == 3


async def test_of_offsets_that_the_log_has_let_go_nobody_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses = Witnesses({0: Bounds(5, 10, 10)}, [Covered(0, 0, 10, [(3, 6)])], {6: record(6)})
    result = await balance(witnesses, monkeypatch)
    assert [(f.kind, f.first, f.last) for f in result.findings] == [(Wrong.UNPROVEN, 3, 4), (Wrong.UNCOVERED, 6, 6)]


async def test_a_partition_of_which_nothing_is_told_is_a_loss_once_it_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    witnesses = Witnesses({0: Bounds(0, 2, 2)}, [], {0: record(0), 1: record(1, "q")})
    result = await balance(witnesses, monkeypatch)
    assert {(f.project_id, f.records) for f in result.findings} == {("p", 1), ("q", 1)}
    assert result.behind == {0: 2}


async def test_a_record_that_is_archived_from_another_offset_is_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers had one trace and both called the event new; the archive keeps one of the two."""
    there = record(4)
    identity = event_identity("e4", there.value or b"")
    witnesses = Witnesses(
        accounted=[Accounted(SLOT, "ingestion", "stored", 10, 0)], archived={SLOT: 8}, not_archived=[4, 7],
        log={4: there, 7: record(7)}, anywhere={("p", "t", "e4", identity)},
    )  # fmt: skip
    result = await balance(witnesses, monkeypatch)
    [line] = result.lines
    assert (line.accepted, line.stored, line.duplicate, line.missing) == (10, 8, 1, 1)
    [finding] = result.findings
    assert (finding.kind, finding.first, finding.last) == (Wrong.NOT_ARCHIVED, 7, 7)


async def test_what_the_archive_no_longer_keeps_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses = Witnesses(
        accounted=[Accounted(SLOT, "ingestion", "stored", 10, 0)], not_archived=[1], archive_begins=SECOND + 60
    )
    result = await balance(witnesses, monkeypatch)
    assert (result.findings, result.lines[0].stored) == ([], 10)


async def test_a_rejected_record_needs_its_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LETTERS_KEPT", 10**18)
    witnesses = Witnesses(accounted=[Accounted(SLOT, "ingestion", "rejected", 3, 0)], letters={SLOT: 2})
    result = await balance(witnesses, monkeypatch)
    assert [(f.kind, f.records) for f in result.findings] == [(Wrong.NO_DEAD_LETTER, 1)]
    assert result.lines[0].missing == 0  # it is accounted for, and its letter is gone


async def test_a_record_that_two_witnesses_miss_is_missing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses = Witnesses(
        covered=[Covered(0, 0, 10, [(3, 3)])], log={3: record(3)}, edges=[Edge(SLOT, 10, 0, 9)],
        accounted=[Accounted(SLOT, "ingestion", "stored", 9, 0)], archived={SLOT: 9},
    )  # fmt: skip
    result = await balance(witnesses, monkeypatch)
    assert {f.kind for f in result.findings} == {Wrong.UNCOVERED, Wrong.NOT_IN_LOG}
    [line] = result.lines
    assert (line.accepted, line.missing) == (10, 1)


async def test_of_minutes_long_past_only_what_the_log_had_then_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offset 7 is the first from an hour after the scope: what lies there is none of its business."""
    log = {offset: record(offset) for offset in range(10)}
    log[5] = log[5]._replace(timestamp=Micros((SECOND + 60) * 1_000_000))  # after the scope, and in its margin
    witnesses = Witnesses(
        covered=[Covered(0, 0, 5, [])], log=log, limits={0: 7},
    )  # fmt: skip
    result = await balance(witnesses, monkeypatch)
    assert [(f.kind, f.first, f.last) for f in result.findings] == [(Wrong.UNCOVERED, 6, 6)]
    assert result.behind == {0: 2}
    assert witnesses.asked[0].within == "(partition = 0 AND first < 7)"


def overflowing(**more: Any) -> Witnesses:
    """Ten records went to the overflow at the front door, and came from there to the events topic, but for some."""
    bounds = {3: Bounds(0, 10, 10)}
    log = {offset: record(offset) for offset in range(10)}
    return Witnesses(**{"overflow": bounds, "overflow_log": log, "overflow_edges": [Edge(AWAY, 10, 0, 9)]} | more)


AWAY = Slot("p", SECOND, 3)
FROM_THERE = f"moved:{OVERFLOW}/3/{SECOND // 60}"


async def test_a_record_that_left_the_overflow_and_came_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {("p", "t", f"e{n}", event_identity(f"e{n}", record(n).value or b"")) for n in range(10) if n != 4}
    witnesses = overflowing(arrived=[Accounted(SLOT, FROM_THERE, "stored", 9, 0)], anywhere=there)
    result = await balance(witnesses, monkeypatch)
    [finding] = result.findings
    assert (finding.kind, finding.topic, finding.partition) == (Wrong.LOST_MOVING, OVERFLOW, 3)
    assert (finding.first, finding.last, finding.records, finding.second) == (4, 4, 1, SECOND)
    assert sum(line.missing for line in result.lines) == 1
    assert not result.balanced


@pytest.mark.parametrize(
    "more",
    [
        {"overflow": {3: Bounds(0, 10, 9)}},  # it waits there
        {"overflow": {3: Bounds(0, 12, 11)}, "overflow_edges": [Edge(AWAY, 10, 2**63, 0)]},  # perhaps: offsets not told
        {"covered": [Covered(0, 0, 9, [])], "bounds": {0: Bounds(0, 10, 9)}},  # its copy is not stored yet
        {"arrived": [Accounted(SLOT, FROM_THERE, "duplicate", 11, 0)]},  # a crash sent one twice
        {"arrived": [Accounted(SLOT, FROM_THERE, "rejected", 10, 0)]},
        {"arrived": [Accounted(SLOT, FROM_THERE, "stored", 9, 0)], "letters": {AWAY: 1}},  # it could not be sent on
        {"arrived": [Accounted(SLOT, "moved", "stored", 10, 0)]},  # by a version that does not say from where
    ],
)
async def test_what_waits_and_what_came_in_any_way_is_no_loss(
    more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    witnesses = overflowing(**more)
    result = await balance(witnesses, monkeypatch)
    assert result.balanced
    waits = sum(each.end - (each.committed or 0) for each in witnesses.overflow.values())
    assert sum(result.overflow.values()) == waits


async def test_a_move_that_arrives_is_neither_a_loss_nor_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"moved:{TOPIC}/0/{SECOND // 60}"
    left = Accounted(SLOT, "ingestion", "moved", 4, 0)
    copies = Accounted(Slot("p", SECOND, 1), here, "stored", 4, 0)
    on_its_way_twice = Accounted(Slot("p", SECOND, 2), here, "moved", 4, 0)
    accounted = [left, copies, on_its_way_twice]
    witnesses = Witnesses(accounted=accounted, arrived=[copies, on_its_way_twice], archived={copies.slot: 4})
    result = await balance(witnesses, monkeypatch)
    assert result.balanced
    assert (result.sums().accepted, result.sums().stored, result.sums().duplicate) == (4, 4, 0)
    witnesses.arrived = [copies._replace(records=3), on_its_way_twice]
    result = await balance(witnesses, monkeypatch)
    assert [(f.kind, f.partition, f.records) for f in result.findings] == [(Wrong.LOST_MOVING, 0, 1)]


async def test_while_the_overflow_holds_older_records_nobody_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    left = Accounted(SLOT, "ingestion", "moved", 4, SECOND * 1_000_000)
    witnesses = Witnesses(accounted=[left], overflow={3: Bounds(0, 10, 5)}, limits={0: 10, 3: 6})
    assert (await balance(witnesses, monkeypatch)).balanced
    witnesses.overflow = {3: Bounds(0, 10, 6)}  # what it holds came long after
    assert not (await balance(witnesses, monkeypatch)).balanced


async def test_a_log_that_was_made_anew_is_told_and_nothing_else_is_made_of_its_offsets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is on its way lies below the old end: it is neither stored nor lost."""
    witnesses = Witnesses(
        {0: Bounds(0, 3, 2)}, [Covered(0, 0, 10, []), Covered(1, 0, 4, [])], edges=[Edge(SLOT, 3, 0, 2)],
        accounted=[Accounted(SLOT, "ingestion", "stored", 2, 0)], archived={SLOT: 2},
    )  # fmt: skip
    result = await balance(witnesses, monkeypatch)
    told = [(f.kind, f.partition, f.first, f.last, f.records) for f in result.findings]
    assert told == [(Wrong.LOG_SHORTER, 0, 3, 9, 7), (Wrong.LOG_SHORTER, 1, 0, 3, 4)]
    assert not result.balanced
    print_balance(result, SCOPE, as_json=False)
    assert "SPANFOLD_TOPIC_PREFIX" in capsys.readouterr().out


async def test_what_came_while_the_balance_was_taken_makes_no_log_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    witnesses = Witnesses({0: Bounds(0, 10, 10)}, [Covered(0, 0, 12, [])])
    witnesses.later = {0: Bounds(0, 12, 12)}
    assert (await balance(witnesses, monkeypatch)).balanced


async def test_publications_of_a_front_door_that_are_gone_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    result = await balance(Witnesses(untold=[Untold(TOPIC, "door", 3, 4, SECOND)]), monkeypatch)
    [finding] = result.findings
    assert (finding.kind, finding.first, finding.last, finding.records) == (Wrong.EDGE_UNTOLD, 3, 4, 2)
    assert sum(line.missing for line in result.lines) == 0
