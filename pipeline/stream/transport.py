"""Faust's Kafka transport, handing an agent whole chunks: one message per partition and poll, a list of records inside.

Faust's own path costs about 60 microseconds an event and has several ways to commit what is not done. Here
- `getmany` yields one message per partition, so Faust's price is paid per chunk;
- offsets go by a `PrefixTracker` per partition and are committed by `commit_finished` alone: Faust's own commits find
  nothing to do (`_new_offset` is always None);
- when partitions are revoked, the listener gets the chance to finish and commit before anything is forgotten.
How it fails: a commit that Kafka refuses stays committable and is tried again with the next one; what was not
committed is delivered again, which changes nothing (I1).
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage

from pipeline.events.model import Micros
from pipeline.stream.offsets import PrefixTracker, TopicPartition
from pipeline.stream.progress import Lag, Progress


class RebalanceListener(Protocol):
    """Who owns the work on the chunks, told when partitions come and go."""

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """These partitions are this worker's from now on."""

    async def partitions_revoked(self, partitions: set[TopicPartition]) -> None:
        """These partitions are about to go: finish what can be finished in time and commit it."""


class ChunkConsumer(driver.Consumer):
    """A Faust consumer whose messages are chunks."""

    def __init__(self, transport: "ChunkTransport", *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._listener = transport.listener
        self._trackers: dict[TopicPartition, PrefixTracker] = {}
        self._progress = Progress()
        self._ends: Mapping[Any, int] = {}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, ConsumerMessage]]:
        """Yield (partition, message) per partition with records; the message's value is the list of records."""
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, chunk in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # a rebalance began: what was not delivered is fetched again by whoever owns it next
            if active is not None and tp not in active:
                continue
            first, last = chunk[0], chunk[-1]
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            self._tracker(tp).deliver(last.offset)
            self._progress.delivered(_place(tp), first.offset, last.offset, Micros(first.timestamp * 1000))
            yield tp, self._message(tp, chunk, generation)

    def finish(self, tp: TopicPartition, last: int) -> None:
        """The chunk of `tp` that ends with offset `last` is durable."""
        tracker = self._trackers.get(tp)
        if tracker is not None:
            tracker.finish(last)

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 before the broker has said so."""
        consumer: Any = self._thread._consumer
        return len(consumer.partitions_for_topic(topic) or ()) if consumer is not None else 0

    async def commit_finished(self) -> bool:
        """Commit every finished prefix; False where Kafka did not take it (it is offered again by the next call)."""
        owned = {_place(tp) for tp in self.assignment()}
        offsets = {tp: tracker.committable for tp, tracker in self._trackers.items() if tracker.committable is not None}
        offsets = {tp: offset for tp, offset in offsets.items() if tp in owned}
        if not offsets:
            return True
        by_tp = {self._new_topicpartition(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        if not await self._commit(by_tp):
            return False
        for tp, offset in offsets.items():
            if tp in self._trackers and offset is not None:
                self._trackers[tp].committed(offset)
                self._progress.committed(tp, offset)
        return True

    async def look_up_ends(self) -> None:
        """Ask the broker where the partitions end; fetching tells that, too, but not while it pauses.

        Raises KafkaError where the broker does not answer, and what else a consumer raises that is about to stop.
        """
        if self._thread._consumer is not None and (owned := list(self.assignment())):
            self._ends = await self.highwaters(*owned)

    def lags(self) -> dict[TopicPartition, Lag]:
        """How far this process is behind, for each of its partitions of which that is known, by the last look-up."""
        now = Micros(time.time_ns() // 1000)
        lags: dict[TopicPartition, Lag] = {}
        for tp, end in self._ends.items():
            place = _place(tp)
            if (committed := self._committed_offset[tp]) is not None:  # where Faust began to read
                self._progress.began(place, committed)
            if (lag := self._progress.lag(place, end, now)) is not None:
                lags[place] = lag
        return lags

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """1 the listener finishes and commits, 2 forget the trackers, 3 Faust's own part."""
        gone = {_place(tp) for tp in revoked}
        await self._listener.partitions_revoked(gone)
        for tp in gone:
            self._trackers.pop(tp, None)
            self._progress.revoked(tp)
        self._ends = {tp: end for tp, end in self._ends.items() if _place(tp) not in gone}
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any], generation_id: int = 0) -> None:
        """The listener's part first: Faust's part lets the chunks flow, and they need their partitions."""
        await self._listener.partitions_assigned({_place(tp) for tp in assigned})
        await super().on_partitions_assigned(assigned, generation_id)

    async def _add_gap(self, *_: Any) -> None:
        """Gaps in offsets lie inside a chunk's range: nothing to track."""

    def _new_offset(self, tp: Any) -> None:
        """Faust has nothing to commit: `commit_finished` does it."""
        acked = self._acked.get(tp)
        if acked:
            acked.clear()
            self._acked_index[tp].clear()

    @staticmethod
    def _message(tp: Any, chunk: list[Any], generation: int) -> ConsumerMessage:
        """A message as Faust knows it, but for its value: the whole list of records."""
        last = chunk[-1]
        value: Any = chunk
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, 0, [], None, value, None, -1, -1, tp,
            generation_id=generation,
        )  # fmt: skip

    def _tracker(self, tp: Any) -> PrefixTracker:
        key = _place(tp)
        tracker = self._trackers.get(key)
        if tracker is None:
            tracker = self._trackers[key] = PrefixTracker()
        return tracker


def _place(tp: Any) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)


class ChunkTransport(driver.Transport):
    """The transport to put on an app: `app.transport = ChunkTransport([url], app, listener)`."""

    Consumer = ChunkConsumer

    def __init__(self, url: list[Any], app: Any, listener: RebalanceListener) -> None:
        super().__init__(url, app)
        self.listener = listener
