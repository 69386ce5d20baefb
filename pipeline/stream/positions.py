"""Whether a fetched chunk follows on what was delivered before it: no record may be skipped between two deliveries.

Problem: Kafka's client moves on with every fetch, whatever becomes of the records. A fetch that comes back while Faust
has stopped the flow (between its seek to the committed offsets and its resuming, after a rebalance), or whose caller
was cancelled, is dropped; the next one begins behind it, and committing that would lose what was dropped.
Rule: the first chunk after an assignment must begin at the committed offset, and after a fetch of which anything may
have been dropped the next one must begin where the last delivery ended. One that begins later is not delivered: the
partition is read again from there. Where the log itself has a gap (retention, transactions) the chunk comes the same
again, and is delivered.
Pure bookkeeping, no Kafka.
"""

from collections.abc import Iterable

from pipeline.stream.offsets import TopicPartition


class Positions:
    """The next offset of each assigned partition, and of which it is certain that the next fetch begins there."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._sure: set[TopicPartition] = set()
        self._sought: dict[TopicPartition, int] = {}

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """They are somebody else's, or begin anew."""
        for tp in partitions:
            self._next.pop(tp, None)
            self._sure.discard(tp)
            self._sought.pop(tp, None)

    def begins(self, tp: TopicPartition, offset: int) -> None:
        """The assignment begins with this offset."""
        self._next[tp] = offset

    def is_known(self, tp: TopicPartition) -> bool:
        """False for a partition that was assigned and of which nothing was delivered yet."""
        return tp in self._next

    def doubt(self) -> None:
        """Something that was fetched may have been dropped."""
        self._sure.clear()
        self._sought.clear()

    def read_again_from(self, tp: TopicPartition, first: int) -> int | None:
        """Where to read again instead of delivering a chunk that begins with `first`; None: it may be delivered."""
        should = self._next[tp]
        if tp in self._sure or first <= should or self._sought.get(tp) == should:
            return None
        self._sought[tp] = should
        return should

    def delivered(self, tp: TopicPartition, last: int) -> None:
        """A chunk that ends with `last` is on its way."""
        self._next[tp] = last + 1
        self._sure.add(tp)
        self._sought.pop(tp, None)
