"""The valve between the overflow and the workers: what waits there is taken when there is little else to do.

On the overflow topic lies what the front door puts there (more than a project's share, ingest/fairness.py) and what a
worker puts there (old events, where fresh ones go first, stream/fresh.py). Each worker looks after the overflow
partitions that go with its own partitions of the events topic. While that leaves its flushes short, and always up to a
share of what it takes in (load.py), it moves records to the events topic, to the homes of their traces, where they are
folded like any other: so a trace still has one worker.
Rule: 1 read no more than there is room for, 2 move, 3 commit what Kafka has acknowledged. A crash in between moves some
twice, which are duplicates. The position is kept under a group without members; two workers that for a moment look
after one partition move some twice, too.
A broker forgets the offsets of a group without members `offsets.retention.minutes` (7 days) after they were committed,
also of a partition in which nothing moves: so each is committed again now and then. Where one was forgotten all that
the topic still holds is moved again, which are duplicates. (Groups with members are safe: KIP-211.)
How it fails: while Kafka does not answer it tries for ever, with a new consumer each time. A record that the events
topic refuses for its size becomes a dead letter.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition as KafkaPartition

from pipeline.config import Settings
from pipeline.events.model import Micros, appended_at
from pipeline.events.partition import partition_of
from pipeline.kafka_client import kafka_options
from pipeline.stream.intake import to_record
from pipeline.stream.load import Allowance, Load
from pipeline.stream.moves import Move, Mover
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.overflow_lag import OverflowLag
from pipeline.stream.progress import Lag

log = structlog.get_logger(__name__)

LOOK_AGAIN = 0.05  # seconds, while there is no room
ASK_AGAIN = 30.0  # seconds until the number of partitions is asked again
POLL = 0.25  # seconds to wait for records: how soon a change of the own partitions is seen
FETCH_BYTES = 2**20  # of a partition, at a time
RETRY_AFTER = 1.0
COMMIT_AGAIN = 3_600.0  # seconds after which an offset that did not move is committed once more

Refuse = Callable[[Sequence[Move]], Awaitable[None]]
"""Returns once these records, which no topic takes, are dead letters."""


class Overflow:
    """One worker's valve: `run` it. It is also one of those who know how far the worker is behind (gauges.py)."""

    def __init__(self, settings: Settings, mover: Mover, load: Callable[[], Load], refuse: Refuse) -> None:
        self._settings, self._mover, self._load, self._refuse = settings, mover, load, refuse
        self._allowance = Allowance()
        self._consumer: Any = None  # while it is started
        self._lag = OverflowLag()
        self._committed_at: dict[KafkaPartition, float] = {}  # of the loop's clock
        self._count = 0  # partitions of the overflow topic
        self._asked = float("-inf")
        self.moved = self.turns = 0  # records moved and looks at the load, since the start

    async def run(self) -> None:
        """Until cancelled."""
        await self._mover.learn()
        while True:
            consumer = AIOKafkaConsumer(
                **kafka_options(self._settings),
                group_id=self._settings.overflow_group,
                client_id="spanfold-overflow",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES,
            )
            try:
                await consumer.start()
                self._consumer = consumer
                while True:
                    await self._turn(consumer)
            except KafkaError as error:
                log.warning("overflow_failed", error=repr(error), retry_in=RETRY_AFTER)
            finally:
                self._consumer = None
                await consumer.stop()
            await asyncio.sleep(RETRY_AFTER)

    async def _turn(self, consumer: Any) -> None:
        """Look at the load, then do 1 to 3 once."""
        load = self._load()
        self.turns += 1
        wanted = await self._wanted(load)
        if wanted != consumer.assignment():
            consumer.assign(wanted)
        await self._commit_again(consumer, wanted)
        room = self._allowance.left(load)
        if not wanted or not room:
            await asyncio.sleep(LOOK_AGAIN)
            return
        found = await consumer.getmany(timeout_ms=int(POLL * 1000), max_records=room)  # 1
        topic = self._settings.events_topic
        records = [to_record(record, record.topic) for some in found.values() for record in some]
        moves = [Move(topic, partition_of(record.key or b"", load.total), record) for record in records]
        if refused := await self._mover.send(moves):  # 2
            await self._refuse(refused)
        if moves:
            await self._commit(consumer, {place: some[-1].offset + 1 for place, some in found.items()})  # 3
            for place, some in found.items():
                last = some[-1]
                self._lag.moved(TopicPartition(*place), last.offset + 1, appended_at(last.timestamp))
            self._allowance.use(len(moves))
            self.moved += len(moves)

    async def _commit(self, consumer: Any, offsets: dict[KafkaPartition, int]) -> None:
        await consumer.commit(offsets)
        self._committed_at.update(dict.fromkeys(offsets, asyncio.get_running_loop().time()))

    async def _commit_again(self, consumer: Any, wanted: set[KafkaPartition]) -> None:
        """What was committed long ago, or by an owner before this one, once more."""
        now = asyncio.get_running_loop().time()
        old = [place for place in wanted if now - self._committed_at.get(place, float("-inf")) >= COMMIT_AGAIN]
        if not old:
            return
        offsets = {place: await consumer.committed(place) for place in old}
        self._committed_at.update(dict.fromkeys(old, now))  # also of those of which nothing is committed yet
        if known := {place: offset for place, offset in offsets.items() if offset is not None}:
            await self._commit(consumer, known)

    async def look_up_ends(self) -> None:
        """Ask the broker how much waits; raises KafkaError."""
        if (consumer := self._consumer) is not None:
            await self._lag.look_up(consumer, _now())

    def lags(self) -> dict[TopicPartition, Lag]:
        """How much of this worker's overflow partitions waits, by the last look-up."""
        return self._lag.lags(_now())

    async def _wanted(self, load: Load) -> set[KafkaPartition]:
        """Every overflow partition goes with one of the events topic, however many there are of each."""
        if not load.total:
            return set()
        now = asyncio.get_running_loop().time()
        if now - self._asked > ASK_AGAIN:
            self._count, self._asked = await self._mover.partitions(self._settings.overflow_topic), now
        numbers = (number for number in range(self._count) if number % load.total in load.partitions)
        return {KafkaPartition(self._settings.overflow_topic, number) for number in numbers}


def _now() -> Micros:
    return Micros(time.time_ns() // 1000)
