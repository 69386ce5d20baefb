"""The worker's heart: takes chunks in, flushes on time, and gives partitions back without losing or inventing anything.

One batch is filled while at most one other is being written. Intake waits while too many events wait for the store;
Faust then stops fetching. When partitions are revoked, what can be finished before the deadline is flushed and
committed, the rest is dropped uncommitted and comes again to the next owner.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from pipeline.stream.archive import Archive
from pipeline.stream.batch import Batch, Chunk
from pipeline.stream.flush import Flush
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.persist import Cancelled
from pipeline.stream.stages import Stages

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to flush, and how much may wait."""

    interval: float  # seconds between two flushes at the most
    flush_events: int  # a flush starts early at this many events
    pending_events: int  # intake waits above this many
    pending_bytes: int  # or above so many bytes of records
    revoke_deadline: float  # seconds for finishing work on partitions that go away


class Pipeline:
    """Owns the assigned partitions and the batch that is being filled. Runs on one event loop."""

    def __init__(
        self, archive: Archive, intake: Intake, flush: Flush, limits: Limits, pace: Pace, stages: Stages
    ) -> None:
        self._archive, self._intake, self._flush = archive, intake, flush
        self._limits, self._pace, self._stages = limits, pace, stages
        self.partitions: dict[TopicPartition, Partition] = {}
        self.batch = Batch()
        self._writing: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.assigned = asyncio.Event()

    async def take(self, chunk: Chunk) -> None:
        """Fold a chunk in; returns when it is in the batch, not when it is durable."""
        partition = self.partitions.get(chunk.tp)
        if partition is None:
            chunk.ack()  # not ours any more
            return
        await partition.ready.wait()
        await self._room.wait()
        try:
            await self._intake.take(lambda: self.batch, partition, chunk)
        except Cancelled:
            chunk.ack()  # the next owner gets these records again
            return
        pace, batch = self._pace, self.batch
        if batch.events >= pace.flush_events or batch.bytes >= pace.pending_bytes // 2:
            self._full.set()
        if batch.events >= pace.pending_events or batch.bytes >= pace.pending_bytes:
            self._room.clear()

    async def run(self) -> None:
        """Flush for ever: after the interval, or as soon as a batch is full."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.interval):
                    await self._full.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now, after what is being written already. Raises what the writing raised: a bug."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        batch, self.batch = self.batch, Batch()
        self._full.clear()
        self._room.set()
        rows = self._flush.collect(batch, self._ready())
        if not batch:
            return
        writing = self._writing = asyncio.create_task(self._flush.write(batch, rows))
        writing.add_done_callback(self._written)
        await asyncio.wait([writing])
        if writing.cancelled():
            return  # its partitions were revoked
        writing.result()
        self._stages.flushed()
        for partition in self._ready():
            partition.evict(self.batch.dirty)

    def _written(self, _: object) -> None:
        self._writing = None

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Open each new partition in the background; its chunks wait for it."""
        for tp in partitions - self.partitions.keys():
            share = max(len(partitions), 1)
            limits = self._limits._replace(traces=self._limits.traces // share, bytes=self._limits.bytes // share)
            partition = self.partitions[tp] = Partition(tp, limits)
            task = asyncio.create_task(self._open(partition))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        if not self.assigned.is_set():
            self._stages.ready()
        self.assigned.set()

    async def _open(self, partition: Partition) -> None:
        with suppress(Cancelled):
            await self._archive.open(partition)

    async def partitions_revoked(self, partitions: set[TopicPartition]) -> None:
        """1 flush and commit within the deadline, 2 stop what is still being written, 3 forget the partitions.

        Kafka revokes everything at once (eager protocol), so what is stopped belongs to nobody here any more.
        """
        try:
            async with asyncio.timeout(self._pace.revoke_deadline):
                await self.flush()
        except TimeoutError:
            log.warning("revoked_before_flushed", partitions=sorted(tp.partition for tp in partitions))
        if self._writing is not None:
            self._writing.cancel()
        for tp in partitions:
            partition = self.partitions.pop(tp, None)
            if partition is not None:
                partition.revoked = True
                partition.ready.set()
        self._drop(partitions)

    async def close(self) -> None:
        """Stop opening partitions; everything else is the caller's."""
        for task in self._opening:
            task.cancel()

    def _drop(self, partitions: set[TopicPartition]) -> None:
        """Leave out of the batch what belongs to partitions that are gone."""
        batch = self.batch
        for chunk, _ in batch.chunks:
            if chunk.tp in partitions:
                chunk.ack()
        gone = {tp.partition for tp in partitions}
        batch.chunks = [(chunk, count) for chunk, count in batch.chunks if chunk.tp not in partitions]
        batch.dirty = {key: entry for key, entry in batch.dirty.items() if not entry[0].revoked}
        batch.archive = [row for row in batch.archive if row.partition not in gone]
        batch.dead = [letter for letter in batch.dead if letter.record.partition not in gone]
        batch.events = sum(count.events for _, count in batch.chunks)
        self._room.set()

    def _ready(self) -> Sequence[Partition]:
        return [partition for partition in self.partitions.values() if partition.ready.is_set()]
