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
from pipeline.ops.ledger import read, run
from pipeline.ops.ledger.balance import Accounted, Balance, Edge, Slot
from pipeline.ops.ledger.balance import Kind as Wrong
from pipeline.ops.ledger.log import Bounds
from pipeline.ops.ledger.read import Covered, Scope
from pipeline.ops.ledger.run import take_balance

TOPIC = "spanfold.events"
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

    async def records(self, partition: int, first: int, last: int) -> AsyncIterator[Record]:
        for offset in range(first, last + 1):
            if offset in self.log:
                yield self.log[offset]

    async def at(self, partition: int, offsets: Iterable[int]) -> AsyncIterator[Record]:
        for offset in offsets:
            if offset in self.log:
                yield self.log[offset]


async def balance(witnesses: Witnesses, patch: pytest.MonkeyPatch) -> Balance:
    class Log:
        records, at = staticmethod(witnesses.records), staticmethod(witnesses.at)

        async def bounds(self) -> dict[int, Bounds]:
            return witnesses.bounds

    @asynccontextmanager
    async def open_log(_: Settings) -> AsyncIterator[Log]:
        yield Log()

    patch.setattr(run, "open_log", open_log)
    for name, answer in (
        ("covered", witnesses.covered), ("edges", witnesses.edges), ("accounted", witnesses.accounted),
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
