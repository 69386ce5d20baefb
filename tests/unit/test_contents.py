"""Content of a giant trace that comes back: all of it, or what its stored rows still tell; nobody waits for ever."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Fields, Kind, Micros, Record
from pipeline.events.reasons import Reason
from pipeline.fold.build import build
from pipeline.fold.shed import shed
from pipeline.fold.state import TraceState
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent, StoredRow
from pipeline.stream import contents
from pipeline.stream.archive import Archive
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.contents import TRIES, bring_content_back
from pipeline.stream.intake import Intake, Taken
from pipeline.stream.lane import ColdLane
from pipeline.stream.part import Part
from pipeline.stream.rows import Rows, add_rows
from pipeline.stream.stages import Stages
from tests.unit.collecting import AT, KEY, TP, Worker
from tests.unit.story import PRICE


class Giant:
    """A trace whose observations' content was let go, and an archive that may lack some of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker = Worker()
        self.partition = self.worker.partition
        self.state = self.partition.create(KEY, "p", "t", AT)
        self.archive: list[RawEvent] = []
        self.rows = Rows([], [], [])
        self.asked = 0
        self.meanwhile: Callable[[], object] = lambda: None
        monkeypatch.setattr(contents, "BEHIND", 0)
        monkeypatch.setattr(lookups, "read_back_observations", self._read_back)
        monkeypatch.setattr(lookups, "stored_observations", self._stored)

    def say(self, id_: str, **fields: Any) -> None:
        number = len(self.archive)
        event = Event("p", "t", Kind.OBSERVATION, id_, f"e{number}", Micros(AT + number), Fields(**fields))
        value = to_canonical_json(event)
        identity = event_identity(event.event_id, value)
        self.state.add(event, identity, number, len(value))
        raw = RawEvent(
            "p", "t", event.event_id, identity, "observation", id_, "application/json", value, "kafka", event.at,
            "events", 0, number, 0, event.at, AT,
        )  # fmt: skip
        self.archive.append(raw)

    def let_go(self) -> None:
        add_rows(self.rows, self.state, build(self.state, PRICE), settled=False, now=AT)
        shed(self.state)

    async def bring_back(self, *ids: str) -> None:
        await bring_content_back(self, self.partition, KEY, ids)  # type: ignore[arg-type]

    def says(self, id_: str) -> Fields:
        return self.state.observations[id_].content()

    def _read_back(self, _: object, __: object, ids: Sequence[str]) -> Iterator[RawEvent]:
        self.asked += 1
        self.meanwhile()
        yield from [raw for raw in self.archive if raw.entity_id in ids]

    def _stored(self, _: object, __: object, ids: Sequence[str]) -> dict[str, StoredRow]:
        rows = {row.observation_id: row for row in self.rows.observations if row.observation_id in ids}
        return {id_: StoredRow("observation", id_, row.start_time, row._asdict()) for id_, row in rows.items()}


@pytest.fixture
def giant(monkeypatch: pytest.MonkeyPatch) -> Giant:
    giant = Giant(monkeypatch)
    giant.say("root", name="root", start_time=AT)
    giant.say("a", name="call", parent_observation_id="root", start_time=AT, metadata={"k": "v"})
    giant.say("a", output="done", end_time=AT + 5)
    giant.say("b", name="step", parent_observation_id="root", start_time=AT, end_time=AT + 9)
    giant.let_go()
    assert not giant.state.observations["a"].loaded
    return giant


async def test_what_the_archive_has_comes_back_at_once(giant: Giant) -> None:
    await giant.bring_back("a", "b")
    assert (giant.says("a")["output"], giant.says("b")["name"], giant.asked) == ("done", "step", 1)
    assert (giant.state.expired, giant.state.shed) == (False, 0)


async def test_an_archive_that_is_behind_is_asked_until_it_has_every_event(giant: Giant) -> None:
    late = giant.archive.pop(2)  # one event of two: half of the content is not the content
    giant.meanwhile = lambda: giant.asked == 3 and giant.archive.append(late)
    await giant.bring_back("a")
    assert (giant.says("a")["output"], giant.asked, giant.state.expired) == ("done", 3, False)


@pytest.mark.parametrize("lost", [[1], [2], [1, 2]])
async def test_where_the_archive_lost_events_the_stored_row_stands_for_them(giant: Giant, lost: list[int]) -> None:
    before = {row.observation_id: row for row in giant.rows.observations}["a"]
    giant.archive = [raw for raw in giant.archive if raw.offset not in lost]
    await giant.bring_back("a")
    assert (giant.asked, giant.state.expired) == (TRIES + 1, True)
    rows = Rows([], [], [])
    giant.say("a", status_message="late")
    add_rows(rows, giant.state, build(giant.state, PRICE), settled=False, now=AT)
    [row] = rows.observations
    assert row == before._replace(status_message="late", row_version=row.row_version)
    [trace] = rows.traces
    assert "archive_expired" in trace.flags


async def test_after_a_loss_nobody_waits_for_the_same_trace_again(giant: Giant) -> None:
    giant.archive.clear()
    await giant.bring_back("a")
    asked = giant.asked
    await giant.bring_back("b")
    assert (giant.asked - asked, giant.says("b")["name"]) == (1, "step")


async def test_content_that_nobody_needs_any_more_is_not_waited_for(giant: Giant) -> None:
    """A tombstone took the observation while the archive was asked."""
    giant.archive.clear()
    tombstone = Event("p", "t", Kind.TRACE, "t", "gone", Micros(AT + 100), Fields(deleted=True))
    giant.meanwhile = lambda: giant.state.add(tombstone, b"%016d" % 99, 99, 1)
    await giant.bring_back("a")
    assert (giant.asked, giant.state.expired, "a" in giant.state.observations) == (1, False, False)


async def test_a_trace_that_left_memory_meanwhile_is_left_alone(giant: Giant) -> None:
    giant.meanwhile = lambda: giant.partition.traces.update({KEY: TraceState("p", "t", AT)})
    await giant.bring_back("a")
    assert not giant.state.observations["a"].loaded


def _archive(monkeypatch: pytest.MonkeyPatch, name: str) -> Archive:
    """One that our own code fails on when content comes back."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(contents, name, fail)
    return Archive(None, lambda: PRICE, lambda _: asyncio.sleep(0, 1), 10**9)  # type: ignore[arg-type]


@pytest.mark.parametrize("mistake", ["layer_of", "bring_back", "content_of"])
async def test_a_trace_whose_content_our_own_code_fails_on_is_put_aside_and_holds_nothing(
    giant: Giant, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    archive = _archive(monkeypatch, mistake)
    if mistake == "layer_of":
        giant.archive.clear()
    part = Part()
    giant.partition.changed(KEY, giant.state, part, giant.partition.clock())
    await archive.bring_back(giant.partition, KEY, ["a"])
    collected = giant.worker.collect(everything=True)
    assert [(each.name, each.stage) for each in collected.failed] == [(("p", "t"), "build")]
    assert collected.released == [part]
    assert (giant.partition.traces, giant.partition.unwritten, giant.partition.unfit) == ({}, {}, {})


async def test_a_record_that_asked_for_such_content_is_archived_and_a_dead_letter(
    giant: Giant, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, partition = giant.worker.batch, giant.partition
    archive = _archive(monkeypatch, "bring_back")
    lane = ColdLane(partition, Intake(2**20, Stages(None)), archive, lambda: batch, 1_000)
    record = Record("events", 0, 9, AT, KEY, b"{}", ())
    event = Event("p", "t", Kind.OBSERVATION, "a", "late", AT, Fields(name="x"))
    lane.put(Taken(Span(TP, 9, 9, 1, lambda: None), ChunkCount(), [(record, [event])], []))
    task = asyncio.create_task(lane.run())
    async with asyncio.timeout(5):
        while not partition.parts.chunks():
            await asyncio.sleep(0)
    task.cancel()
    assert [(letter.record, letter.reason) for letter in batch.dead] == [(record, Reason.FOLD_FAILED)]
    assert [row.event_id for row in batch.archive] == ["late"]
    assert len(giant.worker.collect(everything=True).failed) == 1
