"""Topic to table: copies the records of topics into ClickHouse tables, each at least once.

Problem: what is sent to Kafka has to be found by SQL, and a table must not miss a record.
Rule: records gather for a moment, so that a busy topic makes one insert a second and not one a poll. Then 1 rows are
inserted, 2 what gives no row becomes a dead letter, 3 the offsets are committed. A crash before 3 repeats 1, so a
table of a copy has to be a ReplacingMergeTree whose key says which record a row is of: never a random or a counted one.
How it fails: a store or broker that says no is asked again for ever, by the topic concerned alone. Revoked while it
waits, a copy lets go uncommitted; the next owner writes the same rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import structlog

from pipeline.events.model import Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.metrics import UNSEEN, Metrics
from pipeline.store.insert import Refused
from pipeline.stream.chunk import Chunk
from pipeline.stream.commit import commit_durable
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.spoilt import decoder_failed

log = structlog.get_logger(__name__)

INTERVAL = 1.0  # seconds that records gather at the most
FULL = 16 * 2**20  # bytes of records that make an insert at once
ROOM = 2 * FULL  # bytes that may wait; then Faust stops fetching

RowOf = Callable[[Record], "NamedTuple | None"]
Letters = Callable[[Sequence[DeadLetter]], Awaitable[None]]


class Copy(NamedTuple):
    """What is copied where. `row` gives a record's row, or None for none; it raises DecodeError for a bad record."""

    topic: str
    table: str  # one of store/tables.py
    row: RowOf
    dead_letters: Letters  # where records go that give no row, or one that the store refuses


class Store(Protocol):
    """Where rows become durable; returns those that are refused for good."""

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """Insert all rows, for ever."""


class TopicTable:
    """One copy: what waits of its topic, and the insert under way."""

    def __init__(self, copy: Copy, store: Store, interval: float = INTERVAL) -> None:
        self._copy, self._store, self._interval = copy, store, interval
        self._waiting: list[Chunk] = []
        self._bytes = 0
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._writing: asyncio.Task[None] | None = None
        self._drops = 0

    async def take(self, chunk: Chunk) -> None:
        """Let a chunk wait for the next insert, unless its partition is revoked before there is room."""
        drops = self._drops
        await self._room.wait()
        if drops != self._drops:  # it comes again, with those before it: done alone it would commit them, too
            chunk.ack()
            return
        self._waiting.append(chunk)
        self._bytes += sum(len(record.value or b"") for record in chunk.records)
        if self._bytes >= FULL:
            self._full.set()
        if self._bytes >= ROOM:
            self._room.clear()

    async def run(self, commit: Callable[[Sequence[Chunk]], Awaitable[None]]) -> None:
        """Write what waits, for ever. Raises what a write raised: a bug."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._full.wait()
            chunks, self._waiting, self._bytes = self._waiting, [], 0
            self._full.clear()
            self._room.set()
            if not chunks:
                continue
            writing = self._writing = asyncio.create_task(self._write(chunks, commit))
            await asyncio.wait([writing])
            for chunk in chunks:
                chunk.ack()
            if not writing.cancelled():
                writing.result()

    def drop(self) -> None:
        """The partitions are somebody else's: stop writing and forget what waits."""
        self._drops += 1
        if self._writing is not None:
            self._writing.cancel()
        for chunk in self._waiting:
            chunk.ack()
        self._waiting, self._bytes = [], 0
        self._room.set()

    async def _write(self, chunks: Sequence[Chunk], commit: Callable[[Sequence[Chunk]], Awaitable[None]]) -> None:
        """Steps 1 to 3."""
        records: dict[int, Record] = {}  # id of a row -> what it was made from
        rows: list[NamedTuple] = []
        dead: list[DeadLetter] = []
        for record in (record for chunk in chunks for record in chunk.records):
            try:
                row = self._copy.row(record)
            except DecodeError as error:
                dead.append(DeadLetter(record, error.reason, error.detail, "table"))
                continue
            except Exception as error:  # our own mistake, which must not stop the copy for ever
                dead.append(decoder_failed(record, error, "table"))
                continue
            if row is not None:
                rows.append(row)
                records[id(row)] = record
        for refused in await self._store.insert(self._copy.table, rows, uuid4().hex):  # 1
            dead.append(DeadLetter(records[id(refused.row)], Reason.STORE_REFUSED, refused.message, "table"))
        if dead:
            await self._copy.dead_letters(dead)  # 2
        await commit(chunks)  # 3


class TopicTables:
    """All copies of a process, behind one Faust app."""

    def __init__(
        self, copies: Sequence[Copy], store: Store, interval: float = INTERVAL, metrics: Metrics = UNSEEN
    ) -> None:
        self._metrics = metrics
        self._tables = {copy.topic: TopicTable(copy, store, interval) for copy in copies}
        self.assigned = asyncio.Event()
        self._app: Any = None

    @property
    def topics(self) -> list[str]:
        """What the app must consume."""
        return list(self._tables)

    def commit_through(self, app: Any) -> None:
        """The Faust app whose consumer commits."""
        self._app = app

    async def take(self, chunk: Chunk) -> None:
        """To the table of its topic."""
        await self._tables[chunk.tp.topic].take(chunk)

    async def run(self) -> None:
        """All copies, for ever."""
        async with asyncio.TaskGroup() as group:
            for table in self._tables.values():
                group.create_task(table.run(self._commit))

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Ready for chunks."""
        self.assigned.set()

    async def partitions_revoked(self, partitions: set[TopicPartition], deadline: float) -> None:
        """Kafka revokes everything at once; what was not committed comes again to whoever is next."""
        for table in self._tables.values():
            table.drop()

    async def close(self) -> None:
        """What waits comes again."""
        for table in self._tables.values():
            table.drop()

    async def _commit(self, chunks: Sequence[Chunk]) -> None:
        await commit_durable(self._app, ((chunk.tp, chunk.records[-1].offset) for chunk in chunks), self._metrics)


async def keep_in_topic(letters: Sequence[DeadLetter]) -> None:
    """For the copy of the dead letters themselves: one that the store refuses stays in its topic, and is told of."""
    for letter in letters:
        record = letter.record
        log.critical(
            "dead_letter_not_in_table",
            topic=record.topic, partition=record.partition, offset=record.offset, reason=letter.reason.value,
            remedy="It stays in the topic until its retention; read it there and report this.",
        )  # fmt: skip
