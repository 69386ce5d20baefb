"""The partitions that a worker has been assigned, each with its lanes and what runs for it in the background.

A partition opens in the background (its chunks wait for it), lives until it is revoked, and is then forgotten with all
that waits in its lanes: those chunks are acknowledged and not committed, so the next owner gets them again. A failure
of the background work is a bug; it is kept in `failed`, for whoever runs the pipeline to raise.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from pipeline.stream.archive import Archive
from pipeline.stream.batch import Batch
from pipeline.stream.held import Held, held
from pipeline.stream.intake import Intake, Taken
from pipeline.stream.lane import ColdLane
from pipeline.stream.media import Keep, MediaLane
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Clock, Limits, Partition
from pipeline.stream.persist import Cancelled

GoOn = Callable[[Partition, Taken], Awaitable[None]]
"""Told of records whose media are durable."""


class Assignment:
    """Opens and forgets partitions. Runs on one event loop."""

    def __init__(
        self,
        archive: Archive,
        intake: Intake,
        limits: Limits,
        clock: Clock,
        waiting_bytes: int,
        batch: Callable[[], Batch],
        keep: Keep | None,
        go_on: GoOn,
    ) -> None:
        """Partitions share `limits` and `waiting_bytes` (in lanes of a kind); `batch`: the one that is being filled."""
        self._archive, self._intake, self._limits, self._clock = archive, intake, limits, clock
        self._waiting_bytes, self._batch, self._keep, self._go_on = waiting_bytes, batch, keep, go_on
        self.partitions: dict[TopicPartition, Partition] = {}
        self.lanes: dict[Partition, ColdLane] = {}
        self.media: dict[Partition, MediaLane] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.failed = asyncio.get_running_loop().create_future()

    def ready(self) -> Sequence[Partition]:
        """Those that are open."""
        return [partition for partition in self.partitions.values() if partition.ready.is_set()]

    def take_over(self, places: set[TopicPartition]) -> None:
        """Open each partition that is new in the background. `places`: all that the worker has now."""
        share = max(len(places), 1)
        limits = self._limits._replace(
            traces=max(self._limits.traces // share, 1),
            bytes=self._limits.bytes // share,
            open=max(self._limits.open // share, 1),
        )
        for place in places - self.partitions.keys():
            partition = self.partitions[place] = Partition(place, limits, self._clock)
            partition.fewest = 1 + max(each.partition for each in places)
            self._open(partition, self._waiting_bytes // share)

    def _open(self, partition: Partition, waiting_bytes: int) -> None:
        lane = self.lanes[partition] = ColdLane(partition, self._intake, self._archive, self._batch, waiting_bytes)
        self._start(self._archive.open(partition))
        self._start(lane.run())
        if self._keep is not None:
            go_on = partial(self._go_on, partition)
            media = self.media[partition] = MediaLane(self._keep, partition.is_revoked, go_on, waiting_bytes)
            self._start(media.run())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Work on a partition, until it is done or the partition is revoked."""

        async def until_revoked() -> None:
            try:
                await work
            except Cancelled:
                return
            except Exception as error:
                if not self.failed.done():
                    self.failed.set_exception(error)

        task = asyncio.create_task(until_revoked())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def give_back(self, places: set[TopicPartition]) -> list[Partition]:
        """Forget these partitions, whose chunks that wait are acknowledged; those that were here."""
        gone = [partition for place in places if (partition := self.partitions.pop(place, None)) is not None]
        for partition in gone:
            partition.revoked = True
            partition.ready.set()
        for partition in gone:
            waiting = partition.parts.chunks() + self.lanes.pop(partition).close()
            if media := self.media.pop(partition, None):
                waiting += media.close()
            for chunk in waiting:
                chunk.ack()
        return gone

    def held(self, filling: Batch, writing: Batch | None) -> Held:
        """The memory that all of it takes, with the batches that were made of it."""
        return held(self.partitions.values(), filling, writing, [*self.lanes.values(), *self.media.values()])

    def stop(self) -> None:
        """End what still runs in the background."""
        for task in self._background:
            task.cancel()
