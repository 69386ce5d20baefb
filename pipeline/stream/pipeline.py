"""The worker's heart: takes chunks in, flushes on time, and loses or invents nothing when partitions come and go.

One batch is filled while at most one other is being written. Intake waits while too much waits or is held (held.py);
Faust then stops fetching. When partitions are revoked, what can be finished before the deadline is flushed and
committed, the rest is dropped and comes again to the next owner. Partitions are the assignment's (assignment.py).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.stream.archive import Archive
from pipeline.stream.assignment import Assignment
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk, ChunkCount
from pipeline.stream.collect import Collected, Collector
from pipeline.stream.counted import count_freshness
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.flush import Durable, Flush
from pipeline.stream.held import Held, share_of_traces
from pipeline.stream.intake import Decoded, Intake, Taken, split
from pipeline.stream.media import Keep
from pipeline.stream.moves import MOST_BYTES, Move, at_home
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.pace import Pace
from pipeline.stream.partition import WAKE_AT_ONCE, Clock, Limits, Partition, monotonic
from pipeline.stream.persist import Cancelled
from pipeline.stream.pressure import Pressure
from pipeline.stream.stages import Stages
from pipeline.stream.waiting import weight

log = structlog.get_logger(__name__)

Prepare = Callable[[Sequence[Decoded]], Awaitable[None]]
Look = Callable[[int, Sequence[DeadLetter]], Awaitable[None]]  # records of a chunk, those that failed
Aside = Callable[[Chunk], Awaitable[list[Move]]]
"""Where the records of a chunk go that is not folded now; [] for one that is."""


class Pipeline:
    """Owns the assigned partitions and the batch that is being filled. Runs on one event loop."""

    def __init__(
        self,
        archive: Archive,
        intake: Intake,
        collector: Collector,
        flush: Flush,
        limits: Limits,
        pace: Pace,
        stages: Stages,
        clock: Clock = monotonic,
        prepare: Prepare | None = None,
        guard: Look | None = None,
        keep: Keep | None = None,
        aside: Aside | None = None,
        most: Callable[[str], int] = lambda _: MOST_BYTES,
        metrics: Metrics = UNSEEN,
    ) -> None:
        self._prepare, self._guard, self._aside, self._most = prepare, guard, aside, most
        self._metrics, self.pressure = metrics, Pressure(metrics)
        self._intake, self._collector, self._flush = intake, collector, flush
        self._pace, self._stages, self._limit = pace, stages, limits.bytes
        waiting = pace.pending_bytes // 2
        self._owned = Assignment(archive, intake, limits, clock, waiting, lambda: self.batch, keep, self._has_media)
        self.partitions, self._lanes, self._media = self._owned.partitions, self._owned.lanes, self._owned.media
        self.batch = Batch()
        self._writing: asyncio.Task[None] | None = None
        self._written_now: Batch | None = None
        self._is_tight = False  # what is held takes too much memory, even after a flush
        self.writing_since: float | None = None  # time.monotonic(), of the flush under way
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.assigned = asyncio.Event()
        self._closing = False
        self.flushes, self.flush_seconds = 0, 0.0  # that wrote something, since the start; that the last one took
        self.records = 0  # taken in to be folded, since the start

    async def take(self, chunk: Chunk) -> None:
        """Fold a chunk in; returns when it is in the batch or in a lane, not when it is durable."""
        partition = self.partitions.get(chunk.tp)
        if partition is None:
            chunk.ack()  # not ours any more
            return
        await self.pressure.wait("partition", partition.ready)
        await self.pressure.wait("store", self._room)
        if partition.is_crowded:
            await self.pressure.during("read_back", partition.until_calm())
        if partition.revoked:
            chunk.ack()
            return
        again, chunk = chunk, chunk.since(partition.taken)
        if not chunk.records:  # a fetch that outlasted a rebalance: all of it was taken in by this owner
            self.batch.add(partition, again.span()._replace(records=0), ChunkCount())
            return
        partition.taken = chunk.records[-1].offset + 1
        if self._aside is not None and (moves := await self._aside(chunk)):
            self._put_aside(partition, chunk, moves)
            return
        taken = self._intake.decode(chunk)
        if self._guard is not None:
            await self._guard(len(chunk.records), taken.dead)
        count_freshness(self._metrics, "decoded", (taken.chunk,))
        if self._prepare is not None:
            await self._prepare(taken.decoded)
        if lane := self._lanes.get(partition):
            await self.pressure.wait("read_back", lane.has_room)
        if taken.laden and (media := self._media.get(partition)):
            await self.pressure.wait("media", media.has_room)
        if partition.revoked:
            chunk.ack()  # the next owner gets these records again
            return
        batch = self.batch
        batch.dead += taken.dead
        size = chunk.size
        batch.bytes += size
        self.records += len(chunk.records)
        self._metrics.add(Metric.RECORDS, len(chunk.records))
        self._metrics.add(Metric.BYTES, size)
        stay, moves = at_home(partition, taken.decoded, self._most(chunk.tp.topic))
        batch.moves += [move._replace(noted=taken.became) for move in moves]
        for move in moves:
            taken.became.outcomes.note_moved(move.record)
        self._fold(partition, taken._replace(decoded=list(stay)))

    def _fold(self, partition: Partition, taken: Taken) -> None:
        """Fold what need not wait; the rest goes into a lane, and the chunk is done when that is folded."""
        batch, media = self.batch, self._media.get(partition) if taken.laden else None
        laden = [each for each in taken.decoded if media and each[0].offset in taken.laden]
        light = [each for each in taken.decoded if each[0].offset not in taken.laden] if laden else taken.decoded
        fresh, cold = split(partition, light)
        cold += self._intake.fold(batch, partition, fresh, taken.became)
        if partition.thrown:
            self._lanes[partition].mend()
        if media and laden:
            media.put(taken._replace(decoded=laden + cold))
        elif cold:
            self._lanes[partition].put(taken._replace(decoded=cold, media=()))
        else:
            batch.add(partition, taken.chunk, taken.became)
        batch.bytes -= weight(laden) + weight(cold)  # they weigh in their lane until they are folded
        self._mind_the_size(batch)

    async def _has_media(self, partition: Partition, taken: Taken) -> None:
        """Its media are durable: it goes on like any other chunk, when there is room for what it weighs."""
        await self._room.wait()
        if lane := self._lanes.get(partition):
            await lane.has_room.wait()
        if partition.revoked:
            raise Cancelled
        self.batch.bytes += weight(taken.decoded)
        self._fold(partition, taken._replace(media=(), laden=frozenset()))

    def _put_aside(self, partition: Partition, chunk: Chunk, moves: list[Move]) -> None:
        """The chunk is done where it lies once all its records are where they go."""
        if partition.revoked:
            chunk.ack()
            return
        batch = self.batch
        count = ChunkCount()
        batch.moves += [move._replace(noted=count) for move in moves]
        batch.bytes += chunk.size
        for record in chunk.records:
            count.outcomes.note_moved(record)
        batch.add(partition, chunk.span(), count)
        self._mind_the_size(batch)

    async def run(self) -> None:
        """Flush for ever: after the interval, or as soon as a batch is full. Raises what a background task raised."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.interval):
                    await self._full.wait()
            if self._owned.failed.done():
                self._owned.failed.result()
            await self.flush()

    async def flush(self, *, everything: bool = False) -> None:
        """Write what is due now after what is being written; all rows with `everything` or while memory is short."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        began = asyncio.get_running_loop().time()
        if await self._flush_now(everything=everything or self._is_tight):
            self.flushes += 1
            self.flush_seconds = asyncio.get_running_loop().time() - began

    async def _flush_now(self, *, everything: bool) -> bool:
        """False where there was nothing to write."""
        batch, self.batch = self.batch, Batch()
        self._full.clear()
        partitions = self._owned.ready()
        collected = self._collector.collect(batch, partitions, everything=everything)
        self._call_back(partitions, collected)
        if not batch and not collected.released and not any(collected.rows):
            self._let_go()
            return False
        self._written_now = batch
        if not self._must_wait():
            self._room.set()
        writing = self._writing = asyncio.create_task(self._flush.write(batch, collected, self._done))
        writing.add_done_callback(self._written)
        self.writing_since = time.monotonic()
        await asyncio.wait([writing])
        if writing.cancelled():
            return True  # its partitions were revoked
        writing.result()
        self._stages.flushed()
        self._let_go()
        return True

    def _done(self) -> Durable:
        """Chunks all of whose rows are durable."""
        parts = [part for partition in self.partitions.values() for part in partition.parts.done()]
        return [entry for part in parts for entry in part.chunks]

    def _written(self, _: object) -> None:
        self._writing = self._written_now = self.writing_since = None

    def _call_back(self, partitions: Sequence[Partition], collected: Collected) -> None:
        """Have that read back which must be written and is not in memory."""
        for partition in partitions:
            lane = self._lanes[partition]
            if names := partition.asleep(WAKE_AT_ONCE - lane.called):
                self._metrics.add(Metric.WOKEN, len(names))
                lane.call(names)
        for partition, key, ids in collected.wanted:
            self._lanes[partition].want(key, ids)

    def _mind_the_size(self, batch: Batch) -> None:
        pace, must_wait = self._pace, self._must_wait()
        if must_wait or batch.events + len(batch.moves) >= pace.flush_events or batch.bytes >= pace.pending_bytes // 2:
            self._full.set()
        if must_wait:
            self._room.clear()

    def _must_wait(self) -> bool:
        pace, batch = self._pace, self.batch
        is_many = batch.events + len(batch.moves) >= pace.pending_events
        return is_many or batch.bytes >= pace.pending_bytes or self.held().total > pace.memory

    def held(self) -> Held:
        """The memory that the work takes now."""
        return self._owned.held(self.batch, self._written_now)

    def _let_go(self) -> None:
        """All that was collected is durable: traces leave until they fit beside what else is held; intake goes on."""
        share = share_of_traces(self.held(), self._pace.memory, self._limit)
        self._metrics.add(Metric.EVICTED, sum(partition.evict(share) for partition in self._owned.ready()))
        was_tight, self._is_tight = self._is_tight, self.held().total > self._pace.memory
        if self._is_tight and not was_tight:
            self._full.set()  # once more and at once, this time with everything that could wait
        if not self._must_wait() or (was_tight and not self.batch):
            self._room.set()  # in the latter case what may leave has left, and nobody must wait for ever

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Open each new partition in the background; its chunks wait for it."""
        if self._closing:
            return
        self._metrics.add(Metric.REBALANCES, 1, "assigned")
        self._owned.take_over(partitions)
        if not self.assigned.is_set():
            self._stages.ready()
        self.assigned.set()

    async def partitions_revoked(self, partitions: set[TopicPartition], deadline: float) -> None:
        """1 flush and commit until `deadline`, 2 stop what is still being written, 3 forget the partitions.

        Kafka revokes everything at once (eager protocol), so what is stopped belongs to nobody here any more.
        """
        self._metrics.add(Metric.REBALANCES, 1, "revoked")
        self.assigned.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self.flush(everything=True)
        except TimeoutError:
            log.warning("revoked_before_flushed", partitions=sorted(tp.partition for tp in partitions))
        if self._writing is not None:
            self._writing.cancel()
        self.batch.leave_out(self._owned.give_back(partitions))
        self._room.set()

    async def close(self, deadline: float) -> None:
        """1 take no partition any more, 2 give all back as in a revocation, 3 stop what runs in the background.

        Chunks that come after that belong to nobody here; they are not committed.
        """
        self._closing = True
        await self.partitions_revoked(set(self.partitions), deadline)
        self._owned.stop()
