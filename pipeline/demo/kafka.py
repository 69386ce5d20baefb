"""The Kafka side of the demo: events written without HTTP, and what the topics hold, counted from the topics alone."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pipeline.demo.sent import Source
from pipeline.events import headers
from pipeline.events.avro import encode
from pipeline.events.keys import record_key
from pipeline.events.model import Event

_IN_FLIGHT = 1_000  # records
_QUIET = 10_000  # milliseconds without a record, after which the rest of a topic is given up on


async def produce(bootstrap: str, topic: str, events: Iterable[Event], done: Callable[[int], None]) -> int:
    """Write events as Avro, keyed PROJECT/TRACE, and return how many were acknowledged; `done` is told of each lot.

    The method of docs/examples/produce.py. Raises aiokafka.errors.KafkaError where Kafka does not take an event.
    """
    kind = [(headers.CONTENT_TYPE, headers.CANONICAL_AVRO)]
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=20
    )
    sent = 0
    async with client:
        waiting = []
        for event in events:
            key = record_key(event.project_id, event.trace_id)
            waiting.append(await client.send(topic, encode(event), key=key, headers=kind))
            if len(waiting) == _IN_FLIGHT:
                sent += len(await asyncio.gather(*waiting))
                waiting.clear()
                done(_IN_FLIGHT)
        sent += len(await asyncio.gather(*waiting))
        done(len(waiting))
    return sent


async def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Partition -> the offset that its next record will have."""
    async with _reading(bootstrap, topic) as consumer:
        return {tp.partition: end for tp, end in (await consumer.end_offsets(consumer.assignment())).items()}


async def count_by_source(bootstrap: str, topic: str, ends: Mapping[int, int] | None = None) -> Counter[Source]:
    """How many records came from where; of each partition only those below its offset in `ends`, if given."""
    counts: Counter[Source] = Counter()
    async with _reading(bootstrap, topic) as consumer:
        last = await consumer.end_offsets(consumer.assignment())
        wanted = {tp: end if ends is None else ends.get(tp.partition, 0) for tp, end in last.items()}
        while any([await consumer.position(tp) < end for tp, end in wanted.items()]):
            lots = await consumer.getmany(timeout_ms=_QUIET)
            if not lots:
                break  # the balance will not add up, and says so
            for tp, records in lots.items():
                counts.update(_source(record.headers) for record in records if record.offset < wanted[tp])
    return counts


def _reading(bootstrap: str, topic: str) -> AIOKafkaConsumer:
    """A consumer of the whole topic; without a group it has all partitions at once and commits nothing."""
    return AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)


def _source(named: Iterable[tuple[str, bytes]]) -> Source:
    """Producers that write to Kafka themselves need not say who they are."""
    receiver = dict(named).get(headers.RECEIVER)
    return Source(receiver.decode()) if receiver else Source.KAFKA
