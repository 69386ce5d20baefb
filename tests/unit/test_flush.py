"""What a flush collects: what is written at once, what is held, what waits; who settles; and what is durable then."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.evaluate.requests import EvaluationRequest, Rule
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.fold.state import Seen, TraceState
from pipeline.store import tables
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk, ChunkCount
from pipeline.stream.collect import Collected, Collector, Waits
from pipeline.stream.flush import Durable, Flush
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part
from pipeline.stream.partition import SECOND, Limits, Partition
from pipeline.stream.stages import Stages

KEY = b"p/t"
TP = TopicPartition("events", 0)
AT = Micros(1_700_000_000_000_000)
FIRST, HOLD, REST, QUIET, IDLE = 0.25, 1.0, 5.0, 2.0, 60.0  # seconds
A_MOMENT = FIRST + 0.05
RULE = Rule("r", "quality", "length", {}, 1.0)


class Worker:
    """A partition, a collector and a clock. `say` folds events in as intake does, `collect` looks at what is due."""

    def __init__(self, rules: Sequence[Rule] = (), **waits: float) -> None:
        self.now = 1000.0
        limits = Limits(QUIET, IDLE, 10_000.0, 100, 10**9, 100)
        self.partition = Partition(TP, limits, lambda: Micros(int(self.now * SECOND)))
        given = {"first": FIRST, "hold": HOLD, "rest": REST} | waits
        self.collector = Collector(lambda: ObservationPricer(), lambda _: rules, Waits(**given), Stages(None))
        self.batch = Batch()
        self.count = 0

    def say(self, kind: Kind, entity: str, **fields: Any) -> TraceState:
        partition, now = self.partition, self.partition.clock()
        state = partition.traces.get(KEY) or partition.create(KEY, "p", "t", AT)
        self.count += 1
        event = Event("p", "t", kind, entity, f"e{self.count}", AT, fields)  # type: ignore[arg-type]
        assert state.add(event, b"%016d" % self.count, self.count, 10, now) is Seen.NEW
        partition.changed(KEY, state, self.batch.part(partition), now)
        if kind is not Kind.SCORE or not partition.is_settled(KEY):
            partition.touched(KEY, now)
        return state

    def span(self, id_: str, **fields: Any) -> TraceState:
        return self.say(Kind.OBSERVATION, id_, **fields)

    def collect(self, after: float = 0.0, *, everything: bool = False) -> Collected:
        """What is collected when so many seconds have passed; each time into another batch."""
        self.now += after
        self.requests = self.batch.requests
        batch, self.batch = self.batch, Batch()
        collected = self.collector.collect(batch, [self.partition], everything=everything)
        self.requests = batch.requests
        return collected

    def seen(self, after: float = 0.0) -> tuple[list[str], int]:
        """Observations that are written when so many seconds have passed, and how many trace rows."""
        rows = self.collect(after).rows
        return [row.observation_id for row in rows.observations], len(rows.traces)


def written(*open_: str) -> Worker:
    """A lively trace whose rows are all in the store."""
    worker = Worker()
    worker.say(Kind.TRACE, "t", name="n")
    for id_ in open_:
        worker.span(id_)
    batch = worker.batch
    for part in worker.collect(everything=True).released:
        part.release()
    batch.part(worker.partition).flushed = True
    assert len(worker.partition.parts.done()) == 1
    return worker


def test_the_first_word_of_a_trace_is_written_after_a_moment() -> None:
    worker = Worker()
    worker.span("o")
    assert worker.seen() == ([], 0)
    assert worker.seen(A_MOMENT) == ([], 1)  # the observation is open, and held


def test_what_has_ended_is_written_at_once_and_alone() -> None:
    worker = written("root")
    worker.span("open", parent_observation_id="root")
    worker.span("done", parent_observation_id="root", end_time=AT)
    assert worker.seen() == (["done"], 0)
    assert worker.seen() == ([], 0)


@pytest.mark.parametrize("kind", [Kind.TRACE, Kind.SCORE])
def test_what_is_urgent_waits_for_what_comes_along_with_it(kind: Kind) -> None:
    worker = written()
    worker.say(kind, "x", name="n")
    assert not any(worker.collect().rows)
    rows = worker.collect(A_MOMENT).rows
    assert (len(rows.traces), len(rows.scores)) == ((1, 0) if kind is Kind.TRACE else (0, 1))


def test_an_open_observation_is_held_and_then_written_though_its_trace_is_lively() -> None:
    worker = written()
    worker.span("a")
    found = []
    for _ in range(3):
        worker.now += HOLD / 2
        worker.span("b")
        found.append(worker.seen())
    assert found == [([], 0), (["a"], 0), (["b"], 0)]


def test_an_observation_that_ends_while_it_is_held_is_written_once() -> None:
    worker = written()
    worker.span("a")
    assert worker.seen(HOLD / 2) == ([], 0)
    worker.span("a", end_time=AT)
    assert worker.seen(HOLD / 4) == (["a"], 0)
    assert worker.seen(HOLD) == ([], 1)  # all of the trace is asked for: its sums
    assert worker.seen(HOLD / 4) == ([], 0)


def test_a_trace_that_was_silent_for_a_moment_is_written_as_a_whole() -> None:
    worker = written("root")
    worker.span("a", parent_observation_id="root", end_time=AT)
    assert worker.seen() == (["a"], 0)
    assert worker.seen(HOLD * 0.9) == ([], 0)
    assert worker.seen(HOLD * 0.2) == (["root"], 1)  # it has a child now


def test_what_follows_from_others_waits_in_a_lively_trace_but_not_for_ever() -> None:
    worker, found = written("root"), []
    for number in range(12):
        worker.span(f"a{number}", parent_observation_id="root", end_time=AT)
        found.append("root" in worker.seen()[0])
        worker.now += HOLD / 2
    assert [number for number, was in enumerate(found) if was] == [int(REST / (HOLD / 2))]


def test_in_a_giant_trace_what_follows_from_others_waits_longer() -> None:
    worker = Worker(rest=0.5)
    for number in range(4_000):
        worker.span(f"o{number}", end_time=AT, parent_observation_id="root")
    worker.collect(everything=True)
    found = []
    for number in range(6):
        worker.span(f"new{number}", end_time=AT)
        found.append(worker.seen()[1])
        worker.now += HOLD / 2
    assert found == [0, 0, 0, 0, 0, 1]  # two seconds, by ROWS_PER_SECOND


def test_everything_is_written_when_everything_must_out() -> None:
    worker = Worker()
    worker.span("a")
    rows = worker.collect(everything=True).rows
    assert ([row.observation_id for row in rows.observations], len(rows.traces)) == (["a"], 1)
    assert not any(worker.collect(everything=True).rows)


def test_a_trace_that_has_ended_settles_when_it_is_quiet_with_all_its_rows() -> None:
    worker = Worker()
    worker.span("root", end_time=AT)
    assert worker.seen(A_MOMENT) == (["root"], 1)
    assert [row.settled for row in worker.collect(HOLD).rows.traces] == [False]
    assert [row.settled for row in worker.collect(QUIET).rows.traces] == [True]
    assert worker.partition.is_settled(KEY)
    assert not any(worker.collect(IDLE).rows)


def test_a_quiet_open_trace_is_not_written_again_until_it_settles_at_last() -> None:
    worker = written("open")
    assert not any(worker.collect(QUIET).rows)
    assert not worker.partition.is_settled(KEY)
    rows = worker.collect(IDLE).rows
    assert ([row.settled for row in rows.traces], rows.observations) == ([True], [])


def test_news_that_waited_until_their_trace_was_quiet_are_written() -> None:
    worker = written("open")
    worker.say(Kind.TRACE, "t", output="done")
    rows = worker.collect(QUIET).rows
    assert [(row.output, row.settled) for row in rows.traces] == [("done", False)]


def test_a_score_of_a_settled_trace_is_written_at_once_and_leaves_it_settled() -> None:
    worker = written()
    worker.collect(QUIET)
    assert worker.partition.is_settled(KEY)
    worker.say(Kind.SCORE, "s", name="n", value=1.0)
    rows = worker.collect().rows
    assert ([row.settled for row in rows.traces], [row.name for row in rows.scores]) == ([True], ["n"])
    assert worker.partition.is_settled(KEY)


def test_a_trace_whose_rows_are_in_doubt_is_written_though_it_is_quiet() -> None:
    worker = written("open")
    worker.partition.traces[KEY].rewrite = True
    rows = worker.collect(QUIET).rows
    assert (len(rows.observations), len(rows.traces)) == (1, 1)


def test_who_settles_is_evaluated_once_and_a_group_of_scores_never() -> None:
    worker = Worker([RULE])
    worker.say(Kind.TRACE, "t", name="n")
    worker.collect(A_MOMENT)
    assert worker.requests == []
    worker.collect(QUIET)
    assert [(each.trace_id, each.revision) for each in worker.requests] == [("t", 1)]
    worker.collect(IDLE)
    assert worker.requests == []
    scored = Worker([RULE])
    scored.say(Kind.SCORE, "s", name="n", value=1.0)
    scored.collect(IDLE)
    assert scored.requests == []


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

    async def commit(self, chunks: Sequence[Chunk]) -> None:
        self.calls.append(("commit", len(chunks)))

    async def archived(self, _: Sequence[Any]) -> list[Any]:
        raise AssertionError("nothing was refused")


def chunk(offset: int) -> Chunk:
    return Chunk(TP, [Record("events", 0, offset, AT, KEY, b"{}", ())], lambda: None)


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
