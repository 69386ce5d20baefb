"""One lane for each partition: the records of many requests travel in shared batches, one batch at a time.

Problem: aiokafka's `send` costs a coroutine and a future for each record. Rule: a request hands each lane one portion
of records; the lane waits a moment for company (5 ms, only when idle), fills a batch, waits for Kafka, settles what was
in it, and goes on with what has come meanwhile. A request that gives up takes its portion back, so a lane holds no more
than what unanswered requests hold, plus one batch.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.ingest.edge_counts import EdgeCounts
from pipeline.ingest.kafka_link import KafkaLink, Outcome

LINGER_SECONDS = 0.005

Headers = list[tuple[str, bytes]]


class Outgoing(NamedTuple):
    """A record on its way to the events topic, or its overflow."""

    key: bytes
    value: bytes
    headers: Headers


class Portion:
    """The records of one request for one partition, and what became of them; `done` is set when all is known."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.outcomes: list[Outcome] = []
        self.placed = 0  # records that are in a batch
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def project(self) -> str:
        """Whose records these are: a request has one project."""
        return self.records[0].key.partition(b"/")[0].decode()

    def settle(self, count: int, outcome: Outcome) -> None:
        """The next `count` records have this outcome."""
        self.outcomes += [outcome] * count
        if len(self.outcomes) == len(self.records) and not self.done.done():
            self.done.set_result(None)


class Lane:
    """All that goes to one partition, in order."""

    def __init__(self, link: KafkaLink, topic: str, partition: int, counts: EdgeCounts) -> None:
        self._link = link
        self._topic = topic
        self._partition = partition
        self._counts = counts
        self._waiting: dict[Portion, None] = {}  # in order of arrival
        self._wake = asyncio.Event()

    def put(self, portion: Portion) -> None:
        """Send these records."""
        self._waiting[portion] = None
        self._wake.set()

    def withdraw(self, portion: Portion) -> None:
        """Nobody waits for these any more; those that are in a batch already may still arrive."""
        self._waiting.pop(portion, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(LINGER_SECONDS)
            while self._waiting:
                await self._send_some()

    async def _send_some(self) -> None:
        producer = await self._link.current()
        batch = producer.create_batch()
        shares = list(self._fill(batch))
        if not shares:  # all was withdrawn while there was no producer
            return
        outcome, offset, at = await self._link.deliver(producer, batch, self._topic, self._partition)
        for portion, count in shares:
            if outcome is Outcome.STORED:
                self._counts.count(portion.project, self._partition, count, offset, at)
                offset = offset + count if offset >= 0 else offset
            portion.settle(count, outcome)

    def _fill(self, batch: Any) -> Iterator[tuple[Portion, int]]:
        """Append what fits, oldest first; yields how many records of which portion are in."""
        for portion in list(self._waiting):
            before = portion.placed
            for key, value, headers in portion.records[before:]:
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    break
                portion.placed += 1
            if portion.placed > before:
                yield portion, portion.placed - before
            if portion.placed < len(portion.records):
                return
            self.withdraw(portion)
