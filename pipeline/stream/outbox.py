"""What the stream itself sends to Kafka: dead letters and evaluation requests. A send that fails is tried for ever."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.evaluate.requests import EvaluationRequest, encode_request
from pipeline.kafka_client import kafka_options
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.moves import Move, Mover

log = structlog.get_logger(__name__)

MAX_REQUEST_BYTES = 16 * 2**20
RETRY_AFTER = 1.0
T = TypeVar("T")
Headers = Sequence[tuple[str, bytes]]


class Message(NamedTuple):
    """One message to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outbox:
    """An idempotent producer (acks=all) whose sends return once everything is acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self.mover = Mover(settings)

    async def start(self) -> None:
        """Connect; raises aiokafka.errors.KafkaConnectionError where no broker answers."""
        self._producer = AIOKafkaProducer(
            **kafka_options(self._settings),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=5,
            max_request_size=MAX_REQUEST_BYTES,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and disconnect."""
        await self.mover.stop()
        if self._producer is not None:
            await self._producer.stop()

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """To the dead-letter topic, original bytes and all."""
        topic = self._settings.dead_letters_topic
        await self.send(topic, letters, lambda each: Message(each.record.key, each.record.value, each.headers()))

    async def evaluations(self, requests: Sequence[EvaluationRequest]) -> None:
        """To the evaluations topic."""
        await self.send(
            self._settings.evaluations_topic, requests, lambda each: Message(each.key, encode_request(each))
        )

    async def move(self, moves: Sequence[Move]) -> None:
        """To other partitions, as they are."""
        await self.mover.send(moves)

    async def send(self, topic: str, items: Iterable[T], message: Callable[[T], Message]) -> None:
        """Send all; those that fail are sent again until each is acknowledged."""
        waiting = [message(item) for item in items]
        while waiting:
            results = await asyncio.gather(*(self._send(topic, each) for each in waiting), return_exceptions=True)
            failed = [(each, result) for each, result in zip(waiting, results, strict=True) if result is not None]
            for _, error in failed:
                if not isinstance(error, KafkaError):
                    raise error
            waiting = [each for each, _ in failed]
            if failed:
                log.warning("send_failed", topic=topic, messages=len(failed), error=repr(failed[0][1]))
                await asyncio.sleep(RETRY_AFTER)

    async def _send(self, topic: str, message: Message) -> None:
        await self._producer.send_and_wait(topic, message.value, key=message.key, headers=list(message.headers))
