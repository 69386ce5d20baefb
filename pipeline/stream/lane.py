"""The cold lane of a partition: events whose traces have to be read back first, and sleeping traces that must settle.

Fresh traces do not wait for it. All that is in the lane is read back together, in pieces; what waits is bounded: above
`max_bytes` the partition's intake waits, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk
from pipeline.stream.intake import Intake, Taken, names_of
from pipeline.stream.partition import Partition
from pipeline.stream.persist import Cancelled

TRACES_AT_ONCE = 500

ReadBack = Callable[[Partition, Sequence[tuple[str, str]]], Awaitable[None]]


class ColdLane:
    """One partition's lane. `run` it; `batch` gives the batch that is being filled."""

    def __init__(
        self, partition: Partition, intake: Intake, read_back: ReadBack, batch: Callable[[], Batch], max_bytes: int
    ) -> None:
        self._partition, self._intake, self._read_back, self._batch = partition, intake, read_back, batch
        self._max_bytes = max_bytes
        self._waiting: list[Taken] = []
        self._called: list[tuple[str, str]] = []
        self._bytes = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Return once there is room for more."""
        await self._room.wait()

    def put(self, taken: Taken) -> None:
        """A chunk's cold records (`decoded`); the chunk is added to a batch when they have been folded."""
        self._waiting.append(taken)
        self._bytes += _size(taken)
        if self._bytes > self._max_bytes:
            self._room.clear()
        self._work.set()

    def call(self, names: Sequence[tuple[str, str]]) -> None:
        """Wake these sleeping traces."""
        self._called.extend(names)
        self._work.set()

    def close(self) -> list[Chunk]:
        """The partition is gone: whoever waits for room may go on. The chunks that were not folded."""
        self._room.set()
        self._work.set()
        return [taken.chunk for taken in self._waiting]

    async def run(self) -> None:
        """Read back and fold for ever. Raises persist.Cancelled once the partition is revoked."""
        while not self._partition.revoked:
            await self._work.wait()
            self._work.clear()
            while (self._waiting or self._called) and not self._partition.revoked:
                await self._wake()
                if self._waiting:
                    await self._fold_one()

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
        await self._read_back(partition, list(names))
        if partition.revoked:
            raise Cancelled
        batch = self._batch()
        self._intake.fold(batch, partition, first.decoded, first.became)
        batch.add(partition, first.chunk, first.became)
        partition.pinned -= own
        del self._waiting[0]
        self._bytes -= _size(first)
        if self._bytes <= self._max_bytes:
            self._room.set()

    async def _wake(self) -> None:
        names, self._called = self._called[:TRACES_AT_ONCE], self._called[TRACES_AT_ONCE:]
        if names:
            await self._read_back(self._partition, names)
            self._partition.wake(names)


def _size(taken: Taken) -> int:
    return sum(len(record.value or b"") for record, _ in taken.decoded)
