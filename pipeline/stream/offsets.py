"""Which offset may be committed: the end of the longest prefix of chunks that are done (I2).

Chunks of a partition are delivered in order but may be done in any order. An offset below an unfinished chunk's end is
never offered, nor one below another that was. Pure bookkeeping, no Kafka.
"""

from itertools import takewhile
from typing import NamedTuple


class TopicPartition(NamedTuple):
    """Where an offset counts."""

    topic: str
    partition: int


class PrefixTracker:
    """One partition's chunks between delivery and commit, from its assignment until it is revoked."""

    __slots__ = ("_chunks", "_committable", "_offered")

    def __init__(self) -> None:
        self._chunks: dict[int, bool] = {}  # last offset of a chunk -> done, in order of delivery
        self._committable: int | None = None
        self._offered = 0  # the highest

    def deliver(self, last: int) -> None:
        """A chunk that ends with offset `last` is on its way to the agent."""
        self._chunks.setdefault(last, False)

    def finish(self, last: int) -> None:
        """The chunk's rows are durable. A chunk that was never delivered here (an older assignment's) is ignored."""
        if last not in self._chunks:
            return
        self._chunks[last] = True
        prefix = list(takewhile(self._chunks.__getitem__, self._chunks))  # not all: behind one that waits are many
        for offset in prefix:
            del self._chunks[offset]
            if offset >= self._offered:  # a chunk that came again may have been cut shorter
                self._committable = self._offered = offset + 1

    @property
    def committable(self) -> int | None:
        """The next offset to read, once everything below it is done; None while nothing new is."""
        return self._committable

    def committed(self, offset: int) -> None:
        """Kafka has stored `offset`; nothing is offered until more is done."""
        if self._committable == offset:
            self._committable = None

    @property
    def unfinished(self) -> int:
        """Delivered chunks that are not done."""
        return len(self._chunks)
