"""The valve between the overflow and the workers: what waits there is taken when there is nothing else to do.

On the overflow topic lies what the front door puts there (more than a project's share, ingest/fairness.py) and what a
worker puts there (old events, where fresh ones go first, stream/fresh.py). Each worker looks after the overflow
partitions that go with its own partitions of the events topic. While that leaves its flushes short (load.py) it moves
some records to the events topic, to the homes of their traces, where they are folded like any other: so a trace still
has one worker.
Rule: 1 read no more than there is room for, 2 move, 3 commit what Kafka has acknowledged. A crash in between moves some
twice, which are duplicates. The position is kept under a group without members; two workers that for a moment look
after one partition move some twice, too.
How it fails: while Kafka does not answer it tries for ever, with a new consumer each time.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition as KafkaPartition

from pipeline.config import Settings
from pipeline.events.partition import partition_of
from pipeline.kafka_client import kafka_options
from pipeline.stream.intake import to_record
from pipeline.stream.load import Allowance, Load
from pipeline.stream.moves import Move, Mover

log = structlog.get_logger(__name__)

LOOK_AGAIN = 0.05  # seconds, while there is no room
ASK_AGAIN = 30.0  # seconds until the number of partitions is asked again
POLL = 0.25  # seconds to wait for records: how soon a change of the own partitions is seen
FETCH_BYTES = 2**20  # of a partition, at a time
RETRY_AFTER = 1.0


class Overflow:
    """One worker's valve: `run` it."""

    def __init__(self, settings: Settings, mover: Mover, load: Callable[[], Load]) -> None:
        self._settings, self._mover, self._load = settings, mover, load
        self._allowance = Allowance()
        self._count = 0  # partitions of the overflow topic
        self._asked = float("-inf")
        self.moved = self.turns = 0  # records moved and looks at the load, since the start

    async def run(self) -> None:
        """Until cancelled."""
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
                while True:
                    await self._turn(consumer)
            except KafkaError as error:
                log.warning("overflow_failed", error=repr(error), retry_in=RETRY_AFTER)
            finally:
                await consumer.stop()
            await asyncio.sleep(RETRY_AFTER)

    async def _turn(self, consumer: Any) -> None:
        """Look at the load, then do 1 to 3 once."""
        load = self._load()
        self.turns += 1
        wanted = await self._wanted(load)
        if wanted != consumer.assignment():
            consumer.assign(wanted)
        room = self._allowance.left(load)
        if not wanted or not room:
            await asyncio.sleep(LOOK_AGAIN)
            return
        found = await consumer.getmany(timeout_ms=int(POLL * 1000), max_records=room)  # 1
        topic = self._settings.events_topic
        records = [to_record(record, record.topic) for some in found.values() for record in some]
        moves = [Move(topic, partition_of(record.key or b"", load.total), record) for record in records]
        await self._mover.send(moves)  # 2
        if moves:
            await consumer.commit({place: some[-1].offset + 1 for place, some in found.items()})  # 3
            self._allowance.use(len(moves))
            self.moved += len(moves)

    async def _wanted(self, load: Load) -> set[KafkaPartition]:
        """Every overflow partition goes with one of the events topic, however many there are of each."""
        if not load.total:
            return set()
        now = asyncio.get_running_loop().time()
        if now - self._asked > ASK_AGAIN:
            self._count, self._asked = await self._mover.partitions(self._settings.overflow_topic), now
        numbers = (number for number in range(self._count) if number % load.total in load.partitions)
        return {KafkaPartition(self._settings.overflow_topic, number) for number in numbers}
