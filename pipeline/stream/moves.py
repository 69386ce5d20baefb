"""Moving records to another partition as they are: to the one that is home to their trace, or aside and back again.

Problem: a trace must be folded by one worker at a time, and the partition decides which. After a topic has grown, or
from a producer with another partitioner, a trace's records lie in two partitions.
Rule: a trace is folded where Kafka's default partitioner puts its key in a topic of so many partitions as it has now.
A record that lies elsewhere is sent there with its key, value and headers; it is done where it lay once Kafka has
acknowledged it where it belongs. It may be sent twice (a crash in between), which is a duplicate. A duplicate that was
moved has its trace written again: it may have been archived where it lay and not be in any row yet.
Each move is counted in a header; after MOST_MOVES the record is folded where it is: workers that do not agree on the
number of partitions (for the seconds of a second growth) cannot toss it about for ever.
A record of Kafka's oldest formats that tells no time is sent home, too, even from there: the copy has one, by which the
archive keeps it.
A record that may not fit where it goes (a producer's better compression, or huge headers, brought it here, or the topic
takes less) is never moved: to send it for ever would stop the worker for all.
How it fails: what Kafka does not take is sent again for ever; a second copy changes nothing. What a topic refuses for
its size, whatever its limit was believed to be, is told apart from its neighbours and handed back.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.decode import header
from pipeline.events.model import Event, Record
from pipeline.events.partition import partition_of
from pipeline.events.reasons import Reason
from pipeline.kafka_client import kafka_options
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.stream.chunk import ChunkCount
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.outcomes import MINUTE
from pipeline.stream.partition import Partition
from pipeline.topic_limits import learn_limits

log = structlog.get_logger(__name__)

MOST_MOVES = 64
BATCH_BYTES = 512 * 1024
REQUEST_BYTES = 16 * 2**20
MOST_BYTES = 15 * 2**20  # of a record that is moved: the topics take 16 MiB, and lz4 may add a little
RETRY_AFTER = 0.5  # seconds
STAGE = "move"  # of a dead letter

Decoded = tuple[Record, list[Event]]


class Move(NamedTuple):
    """A record, and where it goes."""

    topic: str
    partition: int
    record: Record
    noted: ChunkCount | None = None  # of the chunk that it is moved from, where it was noted as moved


def at_home(
    partition: Partition, decoded: Sequence[Decoded], most: int = MOST_BYTES
) -> tuple[Sequence[Decoded], list[Move]]:
    """(what is folded here, what goes to the partition where its trace is at home). `most`: bytes that may be moved."""
    count, here = partition.count, partition.tp.partition
    if not count:
        return decoded, []
    stay: list[Decoded] = []
    moves: list[Move] = []
    traces = partition.traces
    for each in decoded:
        record, events = each
        key = record.key or b""
        is_here = key in traces or partition_of(key, count) == here
        if not events or (is_here and record.timestamp >= 0) or not may_move(record, most):
            stay.append(each)
        else:
            moves.append(Move(record.topic, partition_of(key, count), record))
    return (stay, moves) if moves else (decoded, moves)


def may_move(record: Record, most: int = MOST_BYTES) -> bool:
    """False for what was moved too often, or may be too large for a topic that takes so many bytes."""
    return moved(record) < MOST_MOVES and weight(record) <= most


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


def refused_moves(moves: Iterable[Move]) -> list[DeadLetter]:
    """Dead letters of records that no topic takes; they count as rejected where they lay."""
    letters: list[DeadLetter] = []
    for topic, number, record, noted in moves:
        if noted is not None:
            noted.rejected += 1
            noted.outcomes.note_refused(record)
        detail = f"Topic {topic} refuses its {weight(record)} bytes, so it cannot go to its partition {number}. "
        detail += "Raise max.message.bytes and replay it."
        letters.append(DeadLetter(record, Reason.TOO_LARGE, detail, STAGE))
    return letters


class Mover:
    """Sends moves; connects at the first use."""

    def __init__(self, settings: Settings, metrics: Metrics = UNSEEN) -> None:
        self._settings, self._metrics = settings, metrics
        self._producer: Any = None
        self._connecting = asyncio.Lock()
        self._limits: dict[str, int] = {}  # topic -> bytes of the largest batch
        self._open = 0  # records on their way

    async def learn(self) -> None:
        """Ask the broker how much the topics take; until then, and where it does not tell, it is MOST_BYTES."""
        self._limits = await learn_limits(self._settings)

    def most(self, topic: str) -> int:
        """Bytes of a record that surely fits into the topic, in a batch of its own."""
        limit = self._limits.get(topic)
        return MOST_BYTES if limit is None else min(MOST_BYTES, limit * 15 // 16)  # lz4 may add a little

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

    async def send(self, moves: Iterable[Move]) -> list[Move]:
        """Return once every record is acknowledged where it goes, but those that a topic refuses for their size."""
        waiting: dict[tuple[str, int], list[Move]] = defaultdict(list)
        for move in moves:
            waiting[move.topic, move.partition].append(move)
        if not waiting:
            return []
        began = time.monotonic()
        ways = (self._send_all(topic, number, some) for (topic, number), some in waiting.items())
        refused = await asyncio.gather(*ways)
        self._metrics.add(Metric.MOVE_SECONDS, time.monotonic() - began)
        return [move for some in refused for move in some]

    async def _send_all(self, topic: str, number: int, moves: list[Move]) -> list[Move]:
        """One batch after the other; smaller ones where a topic does not take one of the usual size."""
        at, most, refused = 0, len(moves), list[Move]()
        self._count_open(len(moves))
        try:
            while at < len(moves):
                end = at
                try:
                    producer = await self._connected()
                    batch = producer.create_batch()
                    end = _fill(batch, moves[: at + most], at)
                    await (await producer.send_batch(batch, topic, partition=number))
                except (MessageSizeTooLargeError, RecordListTooLargeError):
                    most = max(1, (end - at) // 2)
                    if end - at > 1:
                        continue
                    refused.append(moves[at])
                    end = at + 1
                except KafkaError as error:
                    log.warning("move_failed", topic=topic, partition=number, error=repr(error), retry_in=RETRY_AFTER)
                    self._metrics.add(Metric.SEND_RETRIES, end - at or 1)
                    await asyncio.sleep(RETRY_AFTER)
                    continue
                else:
                    most = 2 * (end - at)
                    self._count_moved(moves[at:end])
                self._count_open(at - end)
                at = end
        finally:
            self._count_open(at - len(moves))
        return refused

    def _count_open(self, more: int) -> None:
        self._open += more
        self._metrics.set(Metric.MOVES_OPEN, self._open)

    def _count_moved(self, moves: Sequence[Move]) -> None:
        overflow = self._settings.overflow_topic
        if moves[0].topic == overflow:
            self._metrics.add(Metric.MOVED, len(moves), "aside")
        else:
            back = sum(move.record.topic == overflow for move in moves)
            self._metrics.add(Metric.MOVED, back, "back")
            self._metrics.add(Metric.MOVED, len(moves) - back, "home")

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
