"""Faust's Kafka transport, handing an agent whole chunks: one message per partition and poll, a list of records inside.

Faust's own path costs about 60 microseconds an event and has several ways to commit what is not done. Here
- `getmany` yields one message per partition, so Faust's price is paid per chunk;
- offsets go by a `PrefixTracker` per partition and are committed by `commit_finished` alone: Faust's own commits find
  nothing to do (`_new_offset` is always None);
- a chunk is delivered only if it follows on the one before it: nothing that was fetched is skipped (`Positions`);
- when partitions are revoked, the listener gets the chance to finish and commit before anything is forgotten.
How it fails: a commit that Kafka refuses stays committable and is tried again with the next one; what was not
committed is delivered again, which changes nothing (I1).
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage

from pipeline.stream.offsets import PrefixTracker, TopicPartition
from pipeline.stream.positions import Positions

log = structlog.get_logger(__name__)


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
        self._init_chunks(transport)

    def _init_chunks(self, transport: "ChunkTransport") -> None:
        """What it has beside Faust's own."""
        self._listener = transport.listener
        self._trackers: dict[TopicPartition, PrefixTracker] = {}
        self._positions = Positions()
        self._cut_short = False  # of the last fetch something may have been dropped

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, ConsumerMessage]]:
        """Yield (partition, message) per partition with records; the message's value is the list of records.

        What is fetched and not yielded, for whatever reason, is read again (stream/positions.py).
        """
        if self._cut_short:
            self._positions.doubt()
        self._cut_short = True
        records, active = await self._wait_next_records(timeout)
        if self.should_stop:
            return
        generation, all_delivered = self.app.consumer_generation_id, True
        for tp, chunk in (records or {}).items():
            again = await self._read_again_from(tp, chunk[0].offset)
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # a rebalance began: what was not delivered is fetched again by whoever owns it next
            if again is not None:
                await self._read_again(tp, again, chunk[0].offset)
            elif active is None or tp in active or tp in self._buffered_partitions:
                yield tp, self._deliver(tp, chunk, generation)
            else:
                all_delivered = False
        self._cut_short = not all_delivered

    def _deliver(self, tp: Any, chunk: list[Any], generation: int) -> ConsumerMessage:
        last = chunk[-1].offset
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        self._tracker(tp).deliver(last)
        self._positions.delivered(TopicPartition(tp.topic, tp.partition), last)
        return self._message(tp, chunk, generation)

    async def _read_again_from(self, tp: Any, first: int) -> int | None:
        key = TopicPartition(tp.topic, tp.partition)
        if not self._positions.is_known(key):
            self._positions.begins(key, await self._start(tp))
        return self._positions.read_again_from(key, first)

    async def _start(self, tp: Any) -> int:
        """Where reading a partition begins: at the committed offset, else at the oldest record."""
        consumer: Any = self._thread._ensure_consumer()
        committed: int | None = await self._thread.call_thread(consumer.committed, tp)
        return int((await self.earliest_offsets(tp))[tp]) if committed is None else committed

    async def _read_again(self, tp: Any, offset: int, instead_of: int) -> None:
        log.warning("records_read_again", topic=tp.topic, partition=tp.partition, first=offset, before=instead_of)
        with suppress(IllegalStateError):  # it was revoked a moment ago
            await self.seek_wait({tp: offset})

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
        owned = {TopicPartition(tp.topic, tp.partition) for tp in self.assignment()}
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
        return True

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """1 the listener finishes and commits, 2 forget the trackers, 3 Faust's own part."""
        gone = {TopicPartition(tp.topic, tp.partition) for tp in revoked}
        await self._listener.partitions_revoked(gone)
        for tp in gone:
            self._trackers.pop(tp, None)
        self._positions.forget(gone)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any], generation_id: int = 0) -> None:
        """The listener's part first: Faust's part lets the chunks flow, and they need their partitions."""
        come = {TopicPartition(tp.topic, tp.partition) for tp in assigned}
        self._positions.forget(come)
        await self._listener.partitions_assigned(come)
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
        key = TopicPartition(tp.topic, tp.partition)
        tracker = self._trackers.get(key)
        if tracker is None:
            tracker = self._trackers[key] = PrefixTracker()
        return tracker


class ChunkTransport(driver.Transport):
    """The transport to put on an app: `app.transport = ChunkTransport([url], app, listener)`."""

    Consumer = ChunkConsumer

    def __init__(self, url: list[Any], app: Any, listener: RebalanceListener) -> None:
        super().__init__(url, app)
        self.listener = listener
