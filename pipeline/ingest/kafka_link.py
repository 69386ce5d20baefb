"""A producer that is connected, or being connected: Kafka may start later than the front door, and may go away.

Rule: acks=all and idempotent, so that Kafka's retries neither lose nor repeat. An idempotent producer numbers its
batches, and one that Kafka refused for good leaves a gap after which every later batch is refused too: after any
refusal the producer is replaced by a new one. What Kafka refuses only for the moment is retried by aiokafka for as long
as it takes; whoever waits sets the deadline.
"""

import asyncio
from enum import Enum
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from pipeline.config import Settings
from pipeline.kafka_client import producer_options

log = structlog.get_logger(__name__)

BATCH_BYTES = 512 * 1024  # of one batch before compression; a larger record gets a batch of its own
REQUEST_BYTES = 16 * 2**20
_METADATA_SECONDS = 30  # how soon a raised number of partitions is noticed
_RETRY_SECONDS = 0.5
_STOP_SECONDS = 3
_WITHOUT_A_GAP = (
    KafkaTimeoutError,
    UnknownTopicOrPartitionError,
    TopicAuthorizationFailedError,
)  # nothing was numbered, or of that one partition: the producer is as good as new for all others
_PROBE_SECONDS = 2


class Outcome(Enum):
    """What became of a record."""

    STORED = "stored"
    TOO_LARGE = "too large"  # for the topic's max.message.bytes
    FAILED = "failed"  # not acknowledged; it may or may not be in the topic


class Delivery(NamedTuple):
    """What became of a batch: of one that is stored the first offset, and when the log took it (ms); -1: not told."""

    outcome: Outcome
    offset: int = -1
    at: int = -1


class KafkaLink:
    """Holds the one producer; `run` is its life."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.topic, self.overflow = settings.events_topic, settings.overflow_topic
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()

    async def run(self) -> None:
        """Connect, stay connected, connect again; until cancelled, then flush and close."""
        while True:
            self._producer = producer = await self._connect()
            self._broken.clear()
            self._connected.set()
            try:
                await self._broken.wait()
            finally:
                self._forget(producer)
                await _close(producer)

    async def current(self) -> Any:
        """The producer, waited for."""
        while self._producer is None:
            await self._connected.wait()
        return self._producer

    async def partitions(self) -> int:
        """The number of partitions of the events topic, waited for."""
        producer = await self.current()
        return len(await producer.partitions_for(self.topic))

    async def overflow_partitions(self) -> int:
        """The number of partitions of the overflow topic; 0 where nobody has made it yet."""
        producer = await self.current()
        return len(producer.client.cluster.partitions_for_topic(self.overflow) or ())

    async def reachable(self) -> bool:
        """True where a broker answers now."""
        if self._producer is None:
            return False
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return bool(await self._producer.client.force_metadata_update())
        except (TimeoutError, KafkaError):
            return False

    async def deliver(self, producer: Any, batch: Any, topic: str, partition: int) -> Delivery:
        """Send one batch of records and wait for all replicas; waits as long as Kafka is away."""
        try:
            told = await (await producer.send_batch(batch, topic, partition=partition))
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            self._forget(producer)
            return Delivery(Outcome.TOO_LARGE)
        except Exception:
            log.exception("batch_refused", topic=topic, partition=partition)
            self._forget(producer)
            return Delivery(Outcome.FAILED)
        return Delivery(Outcome.STORED, told.offset, told.timestamp)

    async def publish(self, topic: str, value: bytes) -> bool:
        """Send one message to another topic and wait for all replicas; False where Kafka refused it."""
        producer = await self.current()
        try:
            await producer.send_and_wait(topic, value)
        except KafkaError as error:
            log.warning("message_refused", topic=topic, error=repr(error))
            if not isinstance(error, _WITHOUT_A_GAP):
                self._forget(producer)
            return False
        return True

    def _forget(self, producer: AIOKafkaProducer) -> None:
        if producer is self._producer:
            self._producer = None
            self._connected.clear()
            self._broken.set()

    async def _connect(self) -> AIOKafkaProducer:
        while True:
            producer = AIOKafkaProducer(
                **producer_options(self._settings),
                client_id="spanfold-ingest",
                max_batch_size=BATCH_BYTES,
                max_request_size=REQUEST_BYTES,
                metadata_max_age_ms=_METADATA_SECONDS * 1000,
            )
            try:
                await producer.start()
                await producer.client.add_topic(self.overflow)
            except KafkaError as error:
                log.warning(
                    "kafka_unavailable",
                    bootstrap=self._settings.kafka_bootstrap, error=str(error), retry_in=_RETRY_SECONDS,
                )  # fmt: skip
                await _close(producer)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return producer


async def _close(producer: AIOKafkaProducer) -> None:
    """Flush and close; what Kafka does not take in time was answered with an error already."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError) as error:
        log.warning("producer_not_closed", error=str(error) or "Kafka did not answer")
