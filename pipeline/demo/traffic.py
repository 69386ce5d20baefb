"""What the demo sends, in which portions: recorded batches over HTTP, made-up traces through Kafka."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

from pipeline.config import Settings
from pipeline.demo import rag
from pipeline.demo.front import Front
from pipeline.demo.kafka import produce
from pipeline.demo.recorded import Json, copy_of, entities_of, recorded_batches
from pipeline.demo.scratch import PROJECT
from pipeline.demo.sent import Entities, Sent, Source
from pipeline.events.model import Event, Kind, Micros

COPIES = 3  # of some hundred traces each
REPEAT_EVERY = 4  # every so many batches, one is sent twice, as a client does that missed the answer
KAFKA_EVENTS = 10_000
_REQUESTS_AT_ONCE = 4


def recorded_requests() -> list[Json]:
    """All requests of the HTTP part, repeats included."""
    recorded, now = recorded_batches(), datetime.now(UTC)
    batches = [batch for number in range(COPIES) for batch in copy_of(recorded, number, now)]
    return batches + batches[::REPEAT_EVERY]


async def send_recorded(front: Front, requests: list[Json], sent: Sent, done: Callable[[int], None]) -> None:
    """Send requests, a few at a time; adds to `sent` what was accepted. Raises FrontDoorError."""
    waiting = iter(requests)

    async def lane() -> None:
        for batch in waiting:
            answer = await front.post(batch)
            sent.accepted[Source.HTTP] += answer.accepted
            sent.refused += answer.refused
            done(answer.accepted)

    await asyncio.gather(*(lane() for _ in range(_REQUESTS_AT_ONCE)))
    sent.entities.add(entities_of(requests))


async def send_through_kafka(settings: Settings, sent: Sent, done: Callable[[int], None]) -> None:
    """Produce KAFKA_EVENTS events; adds to `sent` what was acknowledged. Raises aiokafka.errors.KafkaError."""
    seen = Entities()

    def events() -> Iterator[Event]:
        now = Micros(time.time_ns() // 1_000)
        for event in islice(rag.rag_events(PROJECT, KAFKA_EVENTS // rag.EVENTS_PER_TRACE, now), KAFKA_EVENTS):
            seen.traces.add(event.trace_id)
            (seen.scores if event.kind is Kind.SCORE else seen.observations).add(event.entity_id)
            yield event

    sent.accepted[Source.KAFKA] += await produce(settings.kafka_bootstrap, settings.events_topic, events(), done)
    sent.entities.add(seen)
