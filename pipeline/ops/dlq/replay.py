"""Sending dead letters again, as the records that they were: same key, bytes and headers, to the topic they came from.

Rule: 1 a page of letters is read, 2 sent, no faster than asked for, and acknowledged by all replicas, 3 those letters
are marked. Stopped in between, the same command goes on; what is sent twice changes nothing, because an event is
known by its id and the hash of its bytes. Only letters that had failed when the command began are sent, so what fails
again is not sent again by the same run. Beside its own, a record gets headers that say which letter it was, which try
it is and when the first one failed.
Failure: BrokerUnreachableError; a record that the topic does not take (too large) stays open and is counted.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.kafka_client import producer_options
from pipeline.ops.dlq.letters import Choice, Content, Letter, contents, pages
from pipeline.ops.kafka_admin import BrokerUnreachableError
from pipeline.ops.topics import topic_specs
from pipeline.store.dead_letter_rows import DeadLetterStateRow
from pipeline.store.native import encode
from pipeline.store.tables import DEAD_LETTER_STATES, TABLES

LARGEST = 1 * 2**30  # bytes; the topic's own limit decides
SLICES = 10  # a second's worth of a limited rate goes out in so many parts


@dataclass(slots=True)
class Report:
    """What a run came to, in letters."""

    chosen: int
    replayed: int = 0
    skipped: int = 0  # of topics that Spanfold does not read
    failed: int = 0  # not taken by the topic

    @property
    def done(self) -> int:
        """Looked at so far."""
        return self.replayed + self.skipped + self.failed


class Sender(Protocol):
    """Where records go."""

    async def send(self, topic: str, letter: Letter, content: Content) -> bool:
        """Once acknowledged; False where the topic does not take the record. Raises BrokerUnreachableError."""


Progress = Callable[[Report], None]


async def replay(
    client: Client,
    choice: Choice,
    sender: Sender,
    topics: frozenset[str],
    report: Report,
    *,
    rate: float = 0.0,
    progress: Progress = lambda _: None,
) -> None:
    """Replay all that is chosen to those of its topics that are in `topics`, `rate` letters a second (0: no limit)."""
    pace = Pace(rate)
    until = min(choice.until, datetime.now(UTC))
    for page in pages(client, replace(choice, until=until)):  # 1
        report.skipped += sum(letter.topic not in topics for letter in page)
        letters = [letter for letter in page if letter.topic in topics]
        records = contents(client, letters) if letters else {}
        for part in pace.slices(letters):
            now = time.time_ns() // 1000  # before it is sent: what fails after that failed again
            sends = (sender.send(letter.topic, letter, records[letter.place]) for letter in part)
            taken = await asyncio.gather(*sends)  # 2
            mark(client, [letter for letter, took in zip(part, taken, strict=True) if took], now)  # 3
            report.replayed += sum(taken)
            report.failed += len(part) - sum(taken)
            progress(report)
            await pace.wait(len(part))
    progress(report)


async def replay_to_kafka(
    client: Client, settings: Settings, choice: Choice, chosen: int, rate: float, progress: Progress
) -> Report:
    """Replay to the broker of the settings. Raises BrokerUnreachableError."""
    report = Report(chosen)
    async with KafkaSender(settings) as sender:
        await replay(client, choice, sender, replayable(settings), report, rate=rate, progress=progress)
    return report


def mark(client: Client, letters: Sequence[Letter], at: int) -> None:
    """Say in the store that these were replayed at `at` (microseconds)."""
    if not letters:
        return
    table = TABLES[DEAD_LETTER_STATES]
    rows = [DeadLetterStateRow(*letter.place, "replayed", at, letter.replays + 1, "") for letter in letters]
    client.raw_insert(table.name, list(table.columns), bytes(encode(table, rows)), fmt="Native")


def record_headers(letter: Letter, content: Content) -> list[tuple[str, bytes | None]]:
    """The record's own headers, and those that say what it is a replay of."""
    own = [each for each in content.headers if each[0] not in headers.REPLAY]
    return [
        *own,
        (headers.ATTEMPT, str(letter.attempts + 1).encode()),
        (headers.FIRST_FAILED, str(letter.first_failed_at).encode()),
        (headers.REPLAY_OF, letter.id.encode()),
    ]


def replayable(settings: Settings) -> frozenset[str]:
    """Topics whose records Spanfold reads and may have given up on."""
    return frozenset(spec.name for spec in topic_specs(settings)) - {settings.dead_letters_topic}


class Pace:
    """So many letters a second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._began = clock()
        self._sent = 0

    def slices(self, letters: Sequence[Letter]) -> list[Sequence[Letter]]:
        """Parts to send at once."""
        size = max(int(self._rate / SLICES), 1) if self._rate else max(len(letters), 1)
        return [letters[at : at + size] for at in range(0, len(letters), size)]

    async def wait(self, sent: int) -> None:
        """After a part: until the next may go."""
        self._sent += sent
        if self._rate:
            await asyncio.sleep(max(self._began + self._sent / self._rate - self._clock(), 0.0))


class KafkaSender(AbstractAsyncContextManager["KafkaSender"]):
    """Sends with acks=all."""

    def __init__(self, settings: Settings) -> None:
        self._bootstrap = settings.kafka_bootstrap
        self._producer = AIOKafkaProducer(**producer_options(settings), linger_ms=5, max_request_size=LARGEST)

    async def __aenter__(self) -> "KafkaSender":
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise self._unreachable(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, topic: str, letter: Letter, content: Content) -> bool:
        """As Sender says."""
        try:
            await self._producer.send_and_wait(
                topic, content.value, key=content.key, headers=record_headers(letter, content)
            )
        except MessageSizeTooLargeError:
            return False
        except (KafkaError, OSError) as error:
            raise self._unreachable(error) from error
        return True

    def _unreachable(self, error: Exception) -> BrokerUnreachableError:
        return BrokerUnreachableError(
            f"Kafka at {self._bootstrap} did not take the letters: {str(error) or type(error).__name__}.",
            remedy="Those that it took are marked; the same command sends the others.",
        )
