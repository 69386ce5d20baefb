"""The flush: its order, and which chunks are committed when not all rows of their traces are written at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.evaluate.requests import EvaluationRequest, Rule
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store import tables
from pipeline.store.insert import Refused
from pipeline.store.rows import OffsetRangeRow
from pipeline.store.sift import sift_encodable
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.collect import Collected
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.exits import StopError
from pipeline.stream.flush import Durable, Flush
from pipeline.stream.part import Part
from pipeline.stream.rows import Rows
from pipeline.stream.spoilt import Failed
from tests.fixtures.store import trace_row
from tests.unit.collecting import A_MOMENT, AT, HOLD, TP, Worker, written


class Outside:
    """Store, topics and offsets of a flush, in the order of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    async def insert(self, table: str, rows: Sequence[Any], token: str) -> list[Any]:
        assert token
        self.calls.append((table, len(rows)))
        return []

    async def dead_letters(self, letters: Sequence[Any]) -> None:
        self.calls.append(("dead letters", len(letters)))

    async def evaluations(self, requests: Sequence[EvaluationRequest]) -> None:
        self.calls.append(("evaluations", len(requests)))

    async def move(self, moves: Sequence[Any]) -> None:
        self.calls.append(("moves", len(moves)))

    async def commit(self, chunks: Sequence[Span]) -> None:
        self.calls.append(("commit", len(chunks)))

    async def archived(self, _: Sequence[Any]) -> list[Any]:
        raise AssertionError("nothing was refused")


def chunk(offset: int) -> Span:
    return Span(TP, offset, offset, 1, lambda: None)


async def flushed(worker: Worker, after: float, *, everything: bool = False) -> list[tuple[str, int]]:
    """What one flush asked for."""
    outside, batch = Outside(), worker.batch
    flush = Flush(outside, outside, outside.commit, outside.archived)

    def done() -> Durable:
        outside.calls.append(("done", 0))
        return [entry for part in worker.partition.parts.done() for entry in part.chunks]

    await flush.write(batch, worker.collect(after, everything=everything), done)
    return outside.calls


async def test_the_order_of_a_flush_makes_a_crash_at_any_point_harmless() -> None:
    worker = Worker()
    worker.span("a", end_time=AT)
    worker.batch.add(worker.partition, chunk(1), ChunkCount(new=1))
    assert await flushed(worker, A_MOMENT, everything=True) == [
        (tables.RAW_EVENTS, 0), (tables.OBSERVATIONS, 1), (tables.SCORES, 0), (tables.TRACES, 1),
        ("dead letters", 0), ("evaluations", 0), ("done", 0), (tables.OFFSET_RANGES, 1), ("commit", 1),
    ]  # fmt: skip


async def committed(worker: Worker, after: float) -> int:
    return dict(await flushed(worker, after))["commit"]


async def test_a_chunk_is_not_committed_before_the_rows_of_its_traces_are_durable() -> None:
    worker = written("root")
    worker.batch.add(worker.partition, chunk(1), ChunkCount(new=1))
    worker.span("open", parent_observation_id="root")
    assert await committed(worker, 0) == 0
    worker.batch.add(worker.partition, chunk(2), ChunkCount())  # nothing of it waits, but for the chunk before it
    assert await committed(worker, HOLD / 2) == 0
    assert await committed(worker, HOLD) == 2
    assert await committed(worker, HOLD) == 0


async def test_a_store_that_does_not_answer_keeps_everything_uncommitted() -> None:
    worker, outside = Worker(), Outside()
    worker.span("a", end_time=AT)
    batch = worker.batch
    batch.add(worker.partition, chunk(1), ChunkCount(new=1))

    async def broken(table: str, rows: Sequence[Any], token: str) -> list[Any]:
        raise ConnectionError(table)

    outside.insert = broken  # type: ignore[method-assign]
    collected = worker.collect(everything=True)
    flush = Flush(outside, outside, outside.commit, outside.archived)
    with pytest.raises(ConnectionError):
        await flush.write(batch, collected, lambda: [])
    [part] = batch.parts.values()
    assert isinstance(part, Part)
    assert (part.holders, part.flushed, worker.partition.parts.done(), outside.calls) == (1, False, [], [])


async def test_the_guard_is_asked_before_anything_of_a_flush_is_durable() -> None:
    worker, outside = Worker(), Outside()
    worker.span("a", end_time=AT)
    told: list[int] = []

    async def bad_deploy(events: int, _: Sequence[DeadLetter]) -> None:
        told.append(events)
        raise StopError("a bad deploy")

    batch = worker.batch
    batch.dead.append(DeadLetter(Record("events", 0, 1, AT, b"p/t", b"", ()), Reason.FOLD_FAILED, "", "fold"))
    batch.dead.append(DeadLetter(Record("events", 0, 2, AT, b"p/t", b"", ()), Reason.EMPTY, "", "decode"))
    collected = worker.collect(everything=True)._replace(failed=[Failed(("p", "u"), "build", "", 7)])
    flush = Flush(outside, outside, outside.commit, outside.archived, guard=bad_deploy)
    with pytest.raises(StopError):
        await flush.write(batch, collected, lambda: [])
    assert (told, outside.calls) == ([8], [])


def _refusing(outside: Outside, refuses: Callable[[OffsetRangeRow], bool], stored: list[Any]) -> None:
    """The store takes no row of the ledger for which this is true."""

    async def insert(table: str, rows: Sequence[Any], token: str) -> list[Any]:
        if table != tables.OFFSET_RANGES:
            return await Outside.insert(outside, table, rows, token)
        refused = [Refused(row, None, "a time that no column holds") for row in rows if refuses(row)]
        stored.extend(row for row in rows if not refuses(row))
        return refused

    outside.insert = insert  # type: ignore[method-assign]


def _at_the_end_of_time() -> tuple[Span, ChunkCount]:
    """A chunk whose record tells a time that no column holds (a topic that believes its producers)."""
    count = ChunkCount(new=1)
    count.outcomes.note(Record(TP.topic, TP.partition, 1, Micros(2**63 * 1000), b"p/t", b"", ()), "p", "stored")
    return chunk(1), count


async def test_a_chunk_whose_entry_the_ledger_refuses_is_told_of_by_its_offsets_alone() -> None:
    worker, outside, stored = Worker(), Outside(), list[OffsetRangeRow]()
    _refusing(outside, lambda row: bool(sift_encodable(tables.TABLES[tables.OFFSET_RANGES], [row]).refused), stored)
    flush = Flush(outside, outside, outside.commit, outside.archived)
    await flush.write(worker.batch, worker.collect(everything=True), lambda: [_at_the_end_of_time()])
    assert [(row.first, row.last, row.records, row.new, row.minutes) for row in stored] == [(1, 1, 1, 1, [])]
    assert ("commit", 1) in outside.calls


async def test_a_chunk_that_the_ledger_does_not_take_at_all_is_not_committed() -> None:
    worker, outside = Worker(), Outside()
    _refusing(outside, lambda _: True, [])
    flush = Flush(outside, outside, outside.commit, outside.archived)
    with pytest.raises(StopError):
        await flush.write(worker.batch, worker.collect(everything=True), lambda: [_at_the_end_of_time()])
    assert "commit" not in dict(outside.calls)


async def test_a_dead_letter_that_cannot_be_produced_keeps_everything_uncommitted() -> None:
    worker, outside = Worker(), Outside()
    batch = worker.batch
    batch.add(worker.partition, chunk(1), ChunkCount(rejected=1))
    batch.dead.append(DeadLetter(Record("events", 0, 1, AT, b"p/t", b"", ()), Reason.EMPTY, "", "decode"))
    produced = asyncio.Event()

    async def waiting(letters: Sequence[Any]) -> None:
        await produced.wait()
        await Outside.dead_letters(outside, letters)

    outside.dead_letters = waiting  # type: ignore[method-assign]
    flush = Flush(outside, outside, outside.commit, outside.archived)
    done = [(chunk(1), ChunkCount(rejected=1))]
    writing = asyncio.create_task(flush.write(batch, worker.collect(everything=True), lambda: done))
    await asyncio.wait([writing], timeout=0.05)
    assert not writing.done()
    assert {name for name, _ in outside.calls}.isdisjoint({"commit", tables.OFFSET_RANGES})
    produced.set()
    await writing
    assert outside.calls[-4:] == [
        ("dead letters", 1), ("evaluations", 0), (tables.OFFSET_RANGES, 1), ("commit", 1),
    ]  # fmt: skip


async def test_a_trace_is_settled_in_the_store_only_after_its_evaluation_was_asked_for() -> None:
    """Else a crash in between would leave a settled trace that nobody asks about any more."""
    told: list[Any] = []

    class Told(Outside):
        async def insert(self, table: str, rows: Sequence[Any], token: str) -> list[Any]:
            if table == tables.TRACES:
                told.append([(row.trace_id, row.settled, row.row_version) for row in rows])
            return []

        async def evaluations(self, requests: Sequence[EvaluationRequest]) -> None:
            told.append("asked")

    rule = Rule("r", "n", "has_output", {}, 1.0)
    batch = Batch(requests=[EvaluationRequest("project", "asked about", 1, 1, rule)])
    settled = [trace_row(trace_id=id_, settled=True, row_version=5) for id_ in ("asked about", "other")]
    outside = Told()
    flush = Flush(outside, outside, outside.commit, outside.archived)
    await flush.write(batch, Collected(Rows(settled, [], []), [], []), list)
    assert told == [
        [("asked about", False, 4), ("other", True, 5)],
        "asked",
        [("asked about", True, 5)],
    ]
