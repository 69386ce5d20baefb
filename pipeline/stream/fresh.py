"""Fresh events first: after an outage, what is old goes to the overflow, and who looks at the newest sees it at once.

Problem: a partition is read in order, so after an hour's outage nobody sees what happens now until the hour is folded.
Rule: where SPANFOLD_FRESH_FIRST says so, a chunk all of whose records are older is not folded but moved to the overflow
topic as it is, which is several times faster, and is done where it lay once Kafka has acknowledged it there (I2). From
there it comes back, with a new place in the log, when the worker has nothing else to do (stream/overflow.py).
Age is the worker's clock less the broker's (LogAppendTime); where the two differ by more than the setting, everything
would look old: a chunk with a record that was moved before is never old. Nor is one with a record that cannot be moved.
"""

import time
from collections.abc import Awaitable, Callable

from pipeline.stream.chunk import Chunk
from pipeline.stream.moves import MOST_BYTES, Move, may_move, moved

Partitions = Callable[[str], Awaitable[int]]
"""How many a topic has."""


class FreshFirst:
    """Tells old chunks from fresh ones, and where the old go."""

    def __init__(
        self,
        seconds: float,
        topic: str,
        partitions: Partitions,
        now: Callable[[], int] = time.time_ns,
        most: Callable[[str], int] = lambda _: MOST_BYTES,
    ) -> None:
        """`seconds`: the age; 0, nothing is old. `topic`: the overflow. `now` in ns since the epoch. `most`: bytes of a
        record that fits into a topic."""
        self._age = int(seconds * 1e6)
        self._topic, self._partitions, self._now, self._most = topic, partitions, now, most
        self._count = 0

    async def __call__(self, chunk: Chunk) -> list[Move]:
        """Where all records of an old chunk go; [] for one that is to be folded."""
        if not self._age or chunk.records[-1].timestamp > self._now() // 1000 - self._age:
            return []
        most = self._most(self._topic)
        if any(moved(record) or not may_move(record, most) for record in chunk.records):
            return []
        self._count = self._count or await self._partitions(self._topic)
        return [Move(self._topic, chunk.tp.partition % self._count, record) for record in chunk.records]
