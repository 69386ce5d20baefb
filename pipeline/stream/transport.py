"""Faust's Kafka transport, handing an agent whole chunks: one message per partition and poll, a list of records inside.

Faust's own path costs about 60 microseconds an event and has several ways to commit what is not done. Here
- `getmany` yields one message per partition, so Faust's price is paid per chunk;
- offsets go by a `PrefixTracker` per partition and are committed by `commit_finished` alone: Faust's own commits find
  nothing to do (`_new_offset` is always None);
- when partitions are revoked, the listener gets the chance to finish and commit before anything is forgotten.
- the steps of a revocation share one deadline: nobody in the group waits longer for this worker;
- a worker whose static membership another one took says so and ends (stream/membership.py).
How it fails: a commit that Kafka refuses stays committable and is tried again with the next one; what was not
committed is delivered again, which changes nothing (I1). A listener that fails ends the process: Kafka's client would
log that and go on, with partitions of which a part is lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import ConsumerMessage

from pipeline.events.model import Micros, Record
from pipeline.stream.exits import or_end, refuse
from pipeline.stream.fetched import hand_out_records
from pipeline.stream.membership import Membership
from pipeline.stream.offsets import PrefixTracker, TopicPartition
from pipeline.stream.progress import Lag, Progress

log = structlog.get_logger(__name__)

SEEK_AGAIN = 0.1  # seconds
FAUSTS_PART = 1.0  # seconds of a revocation's deadline that are kept for Faust's own steps


class RebalanceListener(Protocol):
    """Who owns the work on the chunks, told when partitions come and go."""

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """These partitions are this worker's from now on."""

    async def partitions_revoked(self, partitions: set[TopicPartition], deadline: float) -> None:
        """These partitions are about to go: finish what can be finished in time and commit it.

        `deadline` is a time of the running loop.
        """


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread for Kafka's client, which hands out the stream's own records."""

    async def on_start(self) -> None:
        await super().on_start()
        hand_out_records(self._consumer)


class ChunkConsumer(driver.Consumer):
    """A Faust consumer whose messages are chunks."""

    def __init__(self, transport: "ChunkTransport", *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._listener = transport.listener
        self._membership = transport.membership
        self._is_member = False
        self._revoke_deadline = transport.revoke_deadline
        self._trackers: dict[TopicPartition, PrefixTracker] = {}
        self._progress = Progress()
        self._ends: Mapping[Any, int] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, ConsumerMessage]]:
        """Yield (partition, message) per partition with records; the message's value is the list of records.

        A wait for records may outlast a rebalance. What it brings then was read, so Kafka's client goes on behind it,
        but must not be delivered: it is read again from the committed offsets. Nothing was delivered since the
        rebalance, because nobody else delivers.
        """
        self._membership.alive(asyncio.get_running_loop().time())
        generation = self.app.consumer_generation_id
        records, _ = await self._wait_next_records(timeout)
        for tp, chunk in (records or {}).items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                await self._read_again()
                return
            first, last = chunk[0], chunk[-1]
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            self._tracker(tp).deliver(last.offset)
            self._progress.delivered(_place(tp), first.offset, last.offset, first.timestamp)
            yield tp, self._message(tp, chunk, generation)

    async def _read_again(self) -> None:
        """Go back to the committed offsets; tried until it is done, or the next rebalance or the end does it.

        Where nothing was committed yet aiokafka's seek leaves the position where it is: there it is the beginning.
        """
        generation = self.app.consumer_generation_id
        while self.assignment() and not self.should_stop and self.app.consumer_generation_id == generation:
            try:
                await self.perform_seek()
                if never := [tp for tp in self.assignment() if not self._committed_offset.get(tp)]:
                    await self._thread.seek_to_beginning(*(ensure_aiokafka_TP(tp) for tp in never))
                return
            except (KafkaError, AssertionError) as error:  # the latter where nothing is assigned any more
                log.warning("seek_failed", error=repr(error), retry_in=SEEK_AGAIN)
                await asyncio.sleep(SEEK_AGAIN)

    def ends(self, tp: TopicPartition) -> tuple[int, int]:
        """(next offset to read, end of the log) of an own partition, as the last fetch knows it; zeros before one."""
        consumer: Any = self._thread._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(self._new_topicpartition(tp.topic, tp.partition)) if assignment else None
        if state is None or not state.has_valid_position or state.highwater is None:
            return 0, 0
        return state.position, state.highwater

    def finish(self, tp: TopicPartition, last: int) -> None:
        """The chunk of `tp` that ends with offset `last` is durable."""
        tracker = self._trackers.get(tp)
        if tracker is not None:
            tracker.finish(last)

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
        """1 the listener finishes and commits, 2 forget the trackers, 3 Faust's own part; all within one deadline."""
        deadline = asyncio.get_running_loop().time() + self._revoke_deadline
        await or_end("membership_failed", self._look_for_a_twin())
        gone = {_place(tp) for tp in revoked}
        await or_end("revocation_failed", self._listener.partitions_revoked(gone, deadline - FAUSTS_PART))  # 1
        self._forget(gone)  # 2
        try:
            async with asyncio.timeout_at(deadline):
                await super().on_partitions_revoked(revoked)  # 3
        except TimeoutError:  # it waits for chunks that nobody owns any more: they are not committed
            log.warning("revoked_before_faust_was_done", partitions=sorted(tp.partition for tp in gone))
        self._forget(gone)  # what came before the flow was stopped is nobody's

    def _forget(self, gone: set[TopicPartition]) -> None:
        for tp in gone:
            self._trackers.pop(tp, None)
            self._progress.revoked(tp)
        self._ends = {tp: end for tp, end in self._ends.items() if _place(tp) not in gone}

    async def _look_for_a_twin(self) -> None:
        consumer: Any = self._thread._consumer
        was_member, self._is_member = self._is_member, False
        if not was_member or consumer._coordinator.member_id:  # aiokafka forgets the id when Kafka does not know it
            return
        if complaint := await self._membership.complaint(asyncio.get_running_loop().time()):
            refuse("instance_id_taken", complaint)
        if self._membership.instance_id:
            log.warning("membership_lost", instance_id=self._membership.instance_id)

    async def on_partitions_assigned(self, assigned: Iterable[Any], generation_id: int = 0) -> None:
        """The listener's part first: Faust's part lets the chunks flow, and they need their partitions.

        Until then nothing flows, not even in a worker that has just started: Faust's streams would skip it.
        """
        self._is_member = True
        self.stop_flow()
        await or_end("assignment_failed", self._listener.partitions_assigned({_place(tp) for tp in assigned}))
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
    def _message(tp: Any, chunk: list[Record], generation: int) -> ConsumerMessage:
        """A message as Faust knows it, but for its value: the whole list of records."""
        last = chunk[-1]
        value: Any = chunk
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1e6, 0, [], None, value, None, -1, -1, tp,
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
    """The transport to put on an app: `app.transport = ChunkTransport([url], app, listener, membership, deadline)`."""

    Consumer = ChunkConsumer

    def __init__(
        self, url: list[Any], app: Any, listener: RebalanceListener, membership: Membership, revoke_deadline: float
    ) -> None:
        """`revoke_deadline`: seconds in which a revocation must be over."""
        super().__init__(url, app)
        self.listener, self.membership, self.revoke_deadline = listener, membership, revoke_deadline
