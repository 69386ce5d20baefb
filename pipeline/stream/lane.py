"""The cold lane of a partition: events whose traces have to be read back first, and sleeping traces that must settle.

Fresh traces do not wait for it. All that is in the lane is read back together, in pieces.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.stream.batch import Batch
from pipeline.stream.intake import Intake, contents_of, names_of
from pipeline.stream.partition import SECONDS_TO_LOOK, Partition
from pipeline.stream.persist import Cancelled
from pipeline.stream.spoilt import came_back
from pipeline.stream.waiting import Lane, weight

TRACES_AT_ONCE = 500


class ReadBack(Protocol):
    """The archive. Both raise persist.Cancelled once the partition is revoked."""

    async def read_back(self, partition: Partition, names: Sequence[tuple[str, str]]) -> None:
        """Bring traces back into the partition."""

    async def bring_back(self, partition: Partition, key: bytes, ids: Sequence[str]) -> None:
        """Bring the content of some observations of a giant trace back."""


class ColdLane(Lane):
    """One partition's lane. `batch` gives the batch that is being filled; a chunk is added to it when it is folded."""

    def __init__(
        self, partition: Partition, intake: Intake, archive: ReadBack, batch: Callable[[], Batch], max_bytes: int
    ) -> None:
        super().__init__(partition.is_revoked, max_bytes)
        self._partition, self._intake, self._archive, self._batch = partition, intake, archive, batch
        self._called: list[tuple[str, str]] = []
        self._wanted: dict[bytes, list[str]] = {}

    @property
    def called(self) -> int:
        """Sleeping traces that are not awake yet."""
        return len(self._called)

    def call(self, names: Sequence[tuple[str, str]]) -> None:
        """Wake these sleeping traces."""
        self._called.extend(names)
        self._work.set()

    def want(self, key: bytes, ids: list[str]) -> None:
        """Bring the content of these observations back, so that their rows can be written."""
        self._wanted[key] = ids
        self._work.set()

    def mend(self) -> None:
        """Traces were thrown out of memory: have them back (stream/spoilt.py)."""
        self._work.set()

    def _has_work(self) -> bool:
        return bool(self._waiting or self._called or self._wanted or self._partition.thrown)

    async def _work_off(self) -> None:
        await self._mend()
        await self._wake()
        await self._bring_back()
        if self._waiting:
            await self._fold_one()

    async def _mend(self) -> None:
        """Bring back what was thrown out, once all of it is archived."""
        partition = self._partition
        for key, thrown in list(partition.thrown.items()):
            while not thrown.part.flushed and not partition.revoked:
                await asyncio.sleep(SECONDS_TO_LOOK)
            if partition.revoked:
                raise Cancelled
            del partition.thrown[key]
            await self._archive.read_back(partition, [thrown.name])
            came_back(partition, key, thrown, self._batch().part(partition))

    async def _fold_one(self) -> None:
        """Fold the first chunk's records; traces of later ones are read back along with its own."""
        partition, names = self._partition, dict[tuple[str, str], None]()
        for taken in self._waiting:
            names.update(dict.fromkeys(names_of(partition, taken.decoded)))
            if len(names) >= TRACES_AT_ONCE:
                break
        first = self._waiting[0]
        own = {record.key or b"" for record, _ in first.decoded}
        partition.pinned |= own
        if names:
            await self._archive.read_back(partition, list(names))
        for key, ids in contents_of(partition, first.decoded).items():
            await self._archive.bring_back(partition, key, sorted(ids))
        if partition.revoked:
            raise Cancelled
        batch = self._batch()
        foldable = self._intake.put_aside(batch, partition, first.decoded, first.became)
        partition.barred.clear()
        thrown = self._intake.fold(batch, partition, foldable, first.became)
        batch.bytes += weight(first.decoded) - weight(thrown)
        partition.pinned -= own
        if thrown:
            self._instead(first, first._replace(decoded=thrown))
            return
        batch.add(partition, first.chunk, first.became)
        self._done(first)

    async def _wake(self) -> None:
        names, self._called = self._called[:TRACES_AT_ONCE], self._called[TRACES_AT_ONCE:]
        if names:
            await self._archive.read_back(self._partition, names)
            self._partition.barred.clear()  # no record waits for them
            self._partition.wake(names)

    async def _bring_back(self) -> None:
        for key in list(self._wanted):
            await self._archive.bring_back(self._partition, key, self._wanted.pop(key))
        self._partition.barred.clear()  # no record waits for them
