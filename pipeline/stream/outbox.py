"""What the stream itself sends to Kafka: dead letters and evaluation requests. A send that fails is tried for ever.

A dead letter that is too large for its topic (a record that was compressed well, a topic with a smaller limit) would be
tried in vain for ever, and so would stop its partition: its bytes go to the table of dead letters at once, and the
topic gets a letter that says so.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from pipeline.config import Settings
from pipeline.evaluate.requests import EvaluationRequest, encode_request
from pipeline.events import headers
from pipeline.kafka_client import producer_options
from pipeline.metrics import UNSEEN, Metric, Metrics, Role
from pipeline.store.insert import Refused
from pipeline.store.tables import DEAD_LETTERS
from pipeline.stream.dead_letter_row import IN_TABLE, row_of
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.moves import Move, Mover, refused_moves

log = structlog.get_logger(__name__)

MAX_REQUEST_BYTES = 16 * 2**20
RETRY_AFTER = 1.0
T = TypeVar("T")
Headers = Sequence[tuple[str, bytes | None]]


class Message(NamedTuple):
    """One message to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Store(Protocol):
    """Where letters go that Kafka does not take."""

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """Insert all rows, for ever; returns those that are refused for good."""


class Outbox:
    """An idempotent producer (acks=all) whose sends return once everything is acknowledged."""

    def __init__(self, settings: Settings, store: Store, metrics: Metrics = UNSEEN) -> None:
        self._settings, self._store, self._metrics = settings, store, metrics
        self._producer: Any = None
        self.mover = Mover(settings, metrics)

    async def start(self) -> None:
        """Connect; raises aiokafka.errors.KafkaConnectionError where no broker answers."""
        self._producer = AIOKafkaProducer(
            **producer_options(self._settings), linger_ms=5, max_request_size=MAX_REQUEST_BYTES
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and disconnect."""
        await self.mover.stop()
        if self._producer is not None:
            await self._producer.stop()

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """To the dead-letter topic, original bytes and all; to the table what is too large for it."""
        topic = self._settings.dead_letters_topic
        large = await self._send_all(topic, letters, _letter, set_aside_large=True)
        if large:
            await self._keep(large)
            await self.send(topic, large, _pointer)
        for letter in letters:
            self._metrics.add(Metric.DEAD_LETTERS, 1, letter.reason)

    async def evaluations(self, requests: Sequence[EvaluationRequest]) -> None:
        """To the evaluations topic."""
        await self.send(
            self._settings.evaluations_topic, requests, lambda each: Message(each.key, encode_request(each))
        )
        if self._metrics.role is not Role.EVALUATOR:
            self._metrics.add(Metric.REQUESTED, len(requests))

    async def move(self, moves: Sequence[Move]) -> None:
        """To other partitions, as they are. What is too large to be put aside stays in its topic; what that does not
        take once more, though it has it, becomes a dead letter."""
        refused = await self.mover.send(moves)
        stay = [
            move._replace(topic=move.record.topic, partition=move.record.partition)
            for move in refused
            if move.topic != move.record.topic
        ]
        refused = [move for move in refused if move.topic == move.record.topic] + await self.mover.send(stay)
        await self.refuse(refused)

    async def refuse(self, moves: Sequence[Move]) -> None:
        """Dead letters of records that no topic takes."""
        if moves:
            await self.dead_letters(refused_moves(moves))

    async def send(self, topic: str, items: Iterable[T], message: Callable[[T], Message]) -> None:
        """Send all; those that fail are sent again until each is acknowledged."""
        await self._send_all(topic, items, message, set_aside_large=False)

    async def _send_all(
        self, topic: str, items: Iterable[T], message: Callable[[T], Message], *, set_aside_large: bool
    ) -> list[T]:
        """Send all; returns those that were set aside."""
        waiting = list(items)
        aside: list[T] = []
        while waiting:
            sends = (self._send(topic, message(each)) for each in waiting)
            results = await asyncio.gather(*sends, return_exceptions=True)
            failed: list[tuple[T, BaseException]] = []
            for each, result in zip(waiting, results, strict=True):
                if isinstance(result, MessageSizeTooLargeError | RecordListTooLargeError) and set_aside_large:
                    aside.append(each)
                elif isinstance(result, KafkaError):
                    failed.append((each, result))
                elif result is not None:
                    raise result
            waiting = [each for each, _ in failed]
            if failed:
                self._metrics.add(Metric.SEND_RETRIES, len(failed))
                log.warning("send_failed", topic=topic, messages=len(failed), error=repr(failed[0][1]))
                await asyncio.sleep(RETRY_AFTER)
        return aside

    async def _send(self, topic: str, message: Message) -> None:
        await self._producer.send_and_wait(topic, message.value, key=message.key, headers=list(message.headers))

    async def _keep(self, letters: Sequence[DeadLetter]) -> None:
        """Into the table. One that the table refuses, too, is told of: its place is in the log."""
        for letter in letters:  # one by one: each is megabytes
            record = letter.record
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("dead_letter_too_large_for_topic", bytes=len(record.value or b""), **place)
            if await self._store.insert(DEAD_LETTERS, [row_of(letter)], uuid4().hex):
                log.critical("dead_letter_refused_by_table", **place)


def _letter(letter: DeadLetter) -> Message:
    return Message(letter.record.key, letter.record.value, letter.headers())


def _pointer(letter: DeadLetter) -> Message:
    """What the topic gets of a letter whose bytes are in the table."""
    told = [each for each in letter.headers() if each[0].startswith(headers.DEAD_PREFIX)]
    return Message(None, None, [*told, (headers.DEAD_KEPT, IN_TABLE)])
