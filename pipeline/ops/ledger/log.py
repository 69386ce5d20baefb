"""What the log itself tells: its bounds, what the workers have committed, and the records at some offsets.

Read without a group, so nobody notices. How it fails: BrokerUnreachableError.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.events.model import Record, appended_at
from pipeline.kafka_client import kafka_options
from pipeline.ops.kafka_admin import BrokerUnreachableError, looking

QUIET = 5.0  # seconds without an answer after which a read is given up
AT_ONCE = 2_000
NO_LIMIT = 2**63


class Bounds(NamedTuple):
    """The log has offsets `begin` to `end` (excluded) of a partition; `committed` is the next to take, or None."""

    begin: int
    end: int
    committed: int | None


class Log:
    """One topic and the group that takes from it, open for reading."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, topic: str, group: str) -> None:
        self._settings, self._consumer, self._topic, self._group = settings, consumer, topic, group

    @property
    def overflow(self) -> "Log":
        """The same of the overflow topic."""
        settings = self._settings
        return Log(settings, self._consumer, settings.overflow_topic, settings.overflow_group)

    async def bounds(self) -> dict[int, Bounds]:
        """All partitions; none of a topic that nobody has made."""
        async with looking(self._settings) as admin:
            committed = await admin.list_consumer_group_offsets(self._group)
            described: list[dict[str, Any]] = await admin.describe_topics([self._topic])
        places = [TopicPartition(self._topic, part["partition"]) for topic in described for part in topic["partitions"]]
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        found = {}
        for place in places:
            state = committed.get(place)
            at = state.offset if state is not None and state.offset >= 0 else None
            found[place.partition] = Bounds(begins[place], ends[place], at)
        return found

    async def limits(self, moment: datetime) -> dict[int, int]:
        """Partition -> the offset from which on no record is older than `moment`; NO_LIMIT where there is none yet.

        By the log's own index of times (LogAppendTime). Of what retention took, the first offset that is left.
        """
        async with looking(self._settings) as admin:
            described: list[dict[str, Any]] = await admin.describe_topics([self._topic])
        places = [TopicPartition(self._topic, part["partition"]) for topic in described for part in topic["partitions"]]
        at = await self._consumer.offsets_for_times(dict.fromkeys(places, int(moment.timestamp() * 1000)))
        return {place.partition: found.offset if found else NO_LIMIT for place, found in at.items()}

    async def records(self, partition: int, first: int, last: int) -> AsyncIterator[Record]:
        """Every record of a partition from `first` to `last` (included) that the log still has."""
        place = TopicPartition(self._topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        end = (await self._consumer.end_offsets([place]))[place]
        position, give_up = first, time.monotonic() + QUIET
        while position <= last and position < end:
            batches = await self._consumer.getmany(place, timeout_ms=500, max_records=AT_ONCE)
            for raw in batches.get(place, []):
                if raw.offset > last:
                    return
                yield _record(raw, self._topic)
            before, position = position, await self._consumer.position(place)
            if position > before:
                give_up = time.monotonic() + QUIET
            elif time.monotonic() > give_up:
                raise TimeoutError(f"partition {partition} gives nothing at offset {position}")

    async def at(self, partition: int, offsets: Iterable[int]) -> AsyncIterator[Record]:
        """The records at these ascending offsets that the log still has."""
        wanted = list(offsets)
        if wanted:
            chosen = set(wanted)
            async for record in self.records(partition, wanted[0], wanted[-1]):
                if record.offset in chosen:
                    yield record


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[Log]:
    """The events topic. Raises BrokerUnreachableError for whatever Kafka fails with."""
    consumer = AIOKafkaConsumer(**kafka_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        async with asyncio.timeout(QUIET * 2):
            await consumer.start()
        yield Log(settings, consumer, settings.events_topic, settings.fold_group)
    except (KafkaError, OSError) as error:  # OSError covers TimeoutError
        raise BrokerUnreachableError(
            f"Kafka at {settings.kafka_bootstrap} did not answer: {str(error) or type(error).__name__}.",
            remedy="Check that it runs and that SPANFOLD_KAFKA_BOOTSTRAP is right.",
        ) from error
    finally:
        await consumer.stop()


def _record(raw: Any, topic: str) -> Record:
    return Record(topic, raw.partition, raw.offset, appended_at(raw.timestamp), raw.key, raw.value, raw.headers)
