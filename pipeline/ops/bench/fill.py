"""Filling a topic before anything reads it, so that a reader is measured at its own pace."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from aiokafka import AIOKafkaProducer

from pipeline.config import Settings
from pipeline.kafka_client import kafka_options
from pipeline.ops.bench.traffic import Outgoing

_IN_FLIGHT = 5_000  # records that wait for their acknowledgement at once


async def fill(settings: Settings, records: Iterable[Outgoing], sent: Callable[[int], None]) -> int:
    """Send all records to the events topic and return their bytes once they are acknowledged.

    `sent` is told the number of records so far. Raises aiokafka.errors.KafkaError.
    """
    size = total = 0
    rest = iter(records)
    producer = AIOKafkaProducer(**kafka_options(settings), compression_type="lz4", linger_ms=20)
    async with producer:
        while some := list(islice(rest, _IN_FLIGHT)):
            sends = [
                await producer.send(settings.events_topic, record.value, key=record.key, headers=list(record.headers))
                for record in some
            ]
            await asyncio.gather(*sends)
            total += len(some)
            size += sum(len(record.value) for record in some)
            sent(total)
    return size
