"""A worker as the stateful test drives it: the real intake, fold and flush, on a log and a store in memory.

All that tests/property knows of pipeline.stream's API is here. Time stands still unless `Clock` is told otherwise, and
nothing here waits: a worker does one thing at a time, and a flush may be held at any of its steps.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from structlog.testing import capture_logs

from pipeline.events.model import Micros
from pipeline.events.reasons import Reason
from pipeline.store import lookups
from pipeline.stream import archive as archive_module
from pipeline.stream import collect as collect_module
from pipeline.stream import contents as contents_module
from pipeline.stream import flush as flush_module
from pipeline.stream.archive import Archive
from pipeline.stream.chunk import Chunk, Span
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.flush import Flush
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import PrefixTracker, TopicPartition
from pipeline.stream.pace import Pace
from pipeline.stream.partition import Limits
from pipeline.stream.persist import Cancelled
from pipeline.stream.pipeline import Pipeline
from pipeline.stream.stages import Stages
from tests.oracle.answers import (
    known_trace_hashes,
    open_traces,
    read_back,
    read_back_entities,
    read_back_observations,
    stored_traces,
)
from tests.oracle.durable import TOPIC, Log, Store, Write
from tests.oracle.folded import PRICE

QUIET, IDLE, LONGEST = 2.0, 60.0, 150.0  # seconds
FIRST, HOLD, REST = 0.3, 1.0, 5.0  # seconds
OPEN_TRACES = 3  # in memory or not
TRACE_BYTES = 600  # of memory of one trace: so few that every trace is a giant
RESIDENT_TRACES = 2  # so few that settled traces leave memory all the time
CALLS = 8  # what a flush asks of others: archive, three tables, two topics, ranges, commit


class Died(Exception):
    """The worker was killed."""


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.reading = 0  # turns of the loop that an answer of the archive takes

    def __call__(self) -> Micros:
        """The worker's clock."""
        return Micros(int(self.now * 1e6))

    def time_ns(self) -> int:
        """The worker's `time.time_ns`."""
        return int(self.now * 1e9)


@contextmanager
def in_memory(clock: Clock) -> Iterator[None]:
    """Let the stream's modules read this clock, and ask the store in memory where they would ask ClickHouse."""

    async def ask(question: Callable[[], Any], unneeded: Callable[[], bool], *_: object) -> Any:
        turns = 0
        while turns <= clock.reading and not unneeded():
            turns += 1
            await asyncio.sleep(0)
        if unneeded():
            raise Cancelled
        return question()

    time = SimpleNamespace(time_ns=clock.time_ns)
    with ExitStack() as stack:
        stack.enter_context(capture_logs())
        for module in (flush_module, collect_module):
            stack.enter_context(patch.object(module, "time", time))
        for module in (archive_module, contents_module):
            stack.enter_context(patch.object(module, "ask_store", ask))
        for name, answer in (
            ("known_trace_hashes", known_trace_hashes), ("open_traces", open_traces), ("read_back", read_back),
            ("read_back_observations", read_back_observations), ("read_back_entities", read_back_entities),
            ("stored_traces", stored_traces),
        ):  # fmt: skip
            stack.enter_context(patch.object(lookups, name, answer))
        yield


class Sink:
    """The flush's way to the store and to Kafka; counts the calls of a flush and stops at one of them."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log = store, log
        self._calls = 0
        self._die_at: int | None = None
        self._hold_at: int | None = None
        self._gate = asyncio.Event()
        self.dead = False
        self.letters: list[DeadLetter] = []

    def begin(self, die_at: int | None = None, hold_at: int | None = None) -> None:
        """A flush begins: die or wait in front of its call with this number."""
        self._calls, self._die_at, self._hold_at = 0, die_at, hold_at
        self._gate.clear()

    def release(self) -> None:
        """What is held goes on."""
        self._gate.set()

    async def insert(self, table: str, rows: Sequence[Any], _token: str) -> list[Any]:
        """The Store of the flush."""
        write = Write(table, rows)
        await self.call(write)
        self._store.apply(write)
        return []

    async def dead_letters(self, letters: Sequence[Any]) -> None:
        """The Outbox of the flush."""
        assert all(letter.reason is Reason.FOLD_FAILED for letter in letters), letters
        await self.call(Write("dead letters", ()))
        self.letters += letters

    async def evaluations(self, requests: Sequence[Any]) -> None:
        """The Outbox of the flush; there are no rules here."""
        await self.call(Write("evaluations", ()))

    async def move(self, moves: Sequence[Any]) -> None:
        """The Outbox of the flush. Dying in front of it leaves half of the records moved."""
        for move in moves[: len(moves) // 2]:
            self._log.move(move.partition, move.record)
        await self.call(Write("moves", ()))
        for move in moves[len(moves) // 2 :]:
            self._log.move(move.partition, move.record)

    async def call(self, write: Write) -> None:
        """Whatever the flush asks for passes here first. Dying in front of an insert leaves half of it stored."""
        number, self._calls = self._calls, self._calls + 1
        await asyncio.sleep(0)
        if number == self._die_at:
            self._store.apply(write._replace(rows=write.rows[: len(write.rows) // 2]))
            raise Died
        if number == self._hold_at:
            try:
                await self._gate.wait()
            except asyncio.CancelledError:
                self._store.late.append(write)
                raise
            if self.dead:
                self._store.late.append(write)
                raise Died


async def _made(*parts: Any) -> Pipeline:
    return Pipeline(*parts)


class Worker:
    """One worker process. After `die`, or a method that returned False, it is gone."""

    def __init__(self, log: Log, store: Store, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._log, self._loop = log, loop
        self._sink = sink = Sink(store, log)
        self._positions: dict[int, int] = {}
        self._trackers: dict[int, PrefixTracker] = {}
        self._flushing: asyncio.Task[None] | None = None
        stages = Stages(None)

        async def partitions(_topic: str) -> int:
            return log.count

        archive = Archive(store, lambda: PRICE, partitions, TRACE_BYTES)  # type: ignore[arg-type]
        collector = Collector(lambda: PRICE, lambda _: (), Waits(FIRST, HOLD, REST), stages)
        flush = Flush(sink, sink, self._commit, archive.events_of)
        limits = Limits(QUIET, IDLE, LONGEST, RESIDENT_TRACES, 2**30, OPEN_TRACES, TRACE_BYTES)
        pace = Pace(60.0, 2**30, 2**30, 2**40)
        intake = Intake(2**20, stages)
        self._pipeline = loop.run_until_complete(_made(archive, intake, collector, flush, limits, pace, stages, clock))

    @property
    def partitions(self) -> set[int]:
        """What it believes to own."""
        return set(self._positions)

    @property
    def letters(self) -> list[DeadLetter]:
        """The dead letters that it has sent."""
        return self._sink.letters

    @property
    def is_held(self) -> bool:
        """True while a flush waits at one of its steps."""
        return self._flushing is not None

    def assign(self, numbers: set[int]) -> None:
        """Partitions come; reading goes on at the committed offset."""
        for number in numbers:
            self._log.owners[number] = self
            self._positions[number] = self._log.committed[number]
            self._trackers[number] = PrefixTracker()

        async def open_() -> None:
            tps = {TopicPartition(TOPIC, number) for number in numbers}
            await self._pipeline.partitions_assigned(tps)
            for tp in tps:
                await self._pipeline.partitions[tp].ready.wait()

        self._run(open_())
        self._run(self._let_run())

    def deliver(self, number: int, count: int) -> None:
        """The next records of a partition, as one chunk; nothing where another worker owns it by now."""
        if self._log.owners[number] is not self:
            return
        position = self._positions[number]
        records = self._log.records[number][position : position + count]
        if records:
            self._positions[number] = records[-1].offset + 1
            self._trackers[number].deliver(records[-1].offset)
            self._run(self._pipeline.take(Chunk(TopicPartition(TOPIC, number), records, lambda: None)))
            self._run(self._let_run())  # the cold lane

    def wait(self) -> None:
        """Until what is read back is there."""
        self._run(self._let_run())

    def flush(self, die_at: int | None = None) -> bool:
        """Finish what is held, then flush; False where that killed it."""
        if self._flushing is not None:
            self._sink.release()
            self._run(self._flushing)
            self._flushing = None
        self._sink.begin(die_at=die_at)
        try:
            self._run(self._pipeline.flush())
            self._run(self._let_run())  # sleeping traces that must settle are read back
        except Died:
            self.die()
            return False
        self._sink.begin()
        return True

    def begin_flush(self, hold_at: int) -> None:
        """Flush up to a step and leave it there: chunks may come meanwhile."""
        self._sink.begin(hold_at=hold_at)
        self._flushing = self._loop.create_task(self._pipeline.flush())
        self._run(self._let_run())
        if self._flushing.done():
            self._flushing.result()
            self._flushing = None
            self._sink.begin()  # it did not get to that step

    def revoke(self, hold_at: int | None = None) -> None:
        """Everything goes, as Kafka's eager protocol has it. What is held, or will be, is given up at the deadline."""
        if self._flushing is None:
            self._sink.begin(hold_at=hold_at)
        tps = {TopicPartition(TOPIC, number) for number in self._positions}
        self._run(self._pipeline.partitions_revoked(tps, self._loop.time() + 60.0))
        if self._flushing is not None:
            self._run(self._flushing)
            self._flushing = None
        self._sink.begin()
        self._disown()

    def die(self) -> None:
        """SIGKILL: what was held may or may not arrive."""
        self._sink.dead = True
        self._sink.release()
        self._run(self._let_run())
        if self._flushing is not None and not isinstance(self._flushing.exception(), Died):
            self._flushing.result()
        self._disown()

    def _disown(self) -> None:
        for number, owner in enumerate(self._log.owners):
            if owner is self:
                self._log.owners[number] = None
        self._positions.clear()
        self._trackers.clear()

    async def _commit(self, chunks: Sequence[Span]) -> None:
        """What the topology's commit does: finished prefixes, of partitions that are still its own."""
        await self._sink.call(Write("commit", ()))
        for chunk in chunks:
            if chunk.tp.partition in self._trackers:
                self._trackers[chunk.tp.partition].finish(chunk.last)
        for number, tracker in self._trackers.items():
            offset = tracker.committable
            if offset is not None and self._log.owners[number] is self:
                self._log.committed[number] = offset
                tracker.committed(offset)

    async def _let_run(self) -> None:
        """Until nothing moves any more: every step of a flush takes a few turns of the loop."""
        for _ in range(10 * CALLS):
            await asyncio.sleep(0)

    def _run(self, work: Any) -> None:
        self._loop.run_until_complete(work)
