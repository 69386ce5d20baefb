"""Moving records to another partition as they are: to the one that is home to their trace, or aside and back again.

Problem: a trace must be folded by one worker at a time, and the partition decides which. After a topic has grown, or
from a producer with another partitioner, a trace's records lie in two partitions.
Rule: a trace is folded where Kafka's default partitioner puts its key in a topic of so many partitions as it has now.
A record that lies elsewhere is sent there with its key, value and headers; it is done where it lay once Kafka has
acknowledged it where it belongs. It may be sent twice (a crash in between), which is a duplicate. A duplicate that was
moved has its trace written again: it may have been archived where it lay and not be in any row yet.
Each move is counted in a header; after MOST_MOVES the record is folded where it is: workers that do not agree on the
number of partitions (for the seconds of a second growth) cannot toss it about for ever.
A record that may not fit into a batch of its own (a producer's better compression, or huge headers, brought it here) is
never moved: to send it for ever would stop the worker for all.
How it fails: what Kafka does not take is sent again for ever; a second copy changes nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.decode import header
from pipeline.events.model import Event, Record
from pipeline.events.partition import partition_of
from pipeline.kafka_client import kafka_options
from pipeline.stream.outcomes import MINUTE
from pipeline.stream.partition import Partition

log = structlog.get_logger(__name__)

MOST_MOVES = 64
BATCH_BYTES = 512 * 1024
REQUEST_BYTES = 16 * 2**20
MOST_BYTES = 15 * 2**20  # of a record that is moved: the topics take 16 MiB, and lz4 may add a little
RETRY_AFTER = 0.5  # seconds

Decoded = tuple[Record, list[Event]]


class Move(NamedTuple):
    """A record, and where it goes."""

    topic: str
    partition: int
    record: Record


def at_home(partition: Partition, decoded: Sequence[Decoded]) -> tuple[Sequence[Decoded], list[Move]]:
    """(what is folded here, what goes to the partition where its trace is at home)."""
    count, here = partition.count, partition.tp.partition
    if not count:
        return decoded, []
    stay: list[Decoded] = []
    moves: list[Move] = []
    traces = partition.traces
    for each in decoded:
        record, events = each
        key = record.key or b""
        if key in traces or not events or (home := partition_of(key, count)) == here or not may_move(record):
            stay.append(each)
        else:
            moves.append(Move(record.topic, home, record))
    return (stay, moves) if moves else (decoded, moves)


def may_move(record: Record) -> bool:
    """False for what was moved too often, or may be too large for a topic."""
    return moved(record) < MOST_MOVES and weight(record) <= MOST_BYTES


def weight(record: Record) -> int:
    """Bytes of all that is moved with a record."""
    named = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + named


def moved(record: Record) -> int:
    """How often the record was moved; a header that is no number counts as no move."""
    count = header(record, headers.MOVED)
    return int(count) if count is not None and count.isdigit() and len(count) < 4 else 0


def origin_of(record: Record) -> bytes:
    """Where the ledger looks for what became of it: topic, partition, minute of the log."""
    return f"{record.topic}/{record.partition}/{record.timestamp // MINUTE}".encode()


class Mover:
    """Sends moves; connects at the first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._connecting = asyncio.Lock()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has now, asked anew; tried until a broker answers."""
        while True:
            try:
                producer = await self._connected()
                if await producer.client.force_metadata_update():
                    return len(await producer.partitions_for(topic))
            except KafkaError as error:
                log.warning("partitions_unknown", topic=topic, error=repr(error), retry_in=RETRY_AFTER)
            await asyncio.sleep(RETRY_AFTER)

    async def send(self, moves: Iterable[Move]) -> None:
        """Return once every record is acknowledged where it goes."""
        waiting: dict[tuple[str, int], list[Move]] = defaultdict(list)
        for move in moves:
            waiting[move.topic, move.partition].append(move)
        if waiting:
            await asyncio.gather(*(self._send_all(topic, number, some) for (topic, number), some in waiting.items()))

    async def _send_all(self, topic: str, number: int, moves: list[Move]) -> None:
        at = 0
        while at < len(moves):
            try:
                producer = await self._connected()
                batch = producer.create_batch()
                end = _fill(batch, moves, at)
                await (await producer.send_batch(batch, topic, partition=number))
            except KafkaError as error:
                log.warning("move_failed", topic=topic, partition=number, error=repr(error), retry_in=RETRY_AFTER)
                await asyncio.sleep(RETRY_AFTER)
            else:
                at = end

    async def _connected(self) -> Any:
        """The producer. Not idempotent: a copy does no harm, and there is no sequence that could break."""
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **kafka_options(self._settings),
                    client_id="spanfold-mover",
                    acks="all",
                    compression_type="lz4",
                    max_batch_size=BATCH_BYTES,
                    max_request_size=REQUEST_BYTES + BATCH_BYTES,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer


def _fill(batch: Any, moves: Sequence[Move], at: int) -> int:
    """Append what fits, one at least; the number of the first that is not in."""
    for number in range(at, len(moves)):
        record = moves[number].record
        named = [each for each in record.headers if each[0] != headers.MOVED]
        if all(name != headers.MOVED_FROM for name, _ in named):  # for the ledger, which reads the first one only
            named.append((headers.MOVED_FROM, origin_of(record)))
        named.append((headers.MOVED, str(moved(record) + 1).encode()))
        if batch.append(timestamp=None, key=record.key, value=record.value, headers=named) is None:
            return number
    return len(moves)
