"""Topic to table: what is inserted, dead-lettered and committed, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from pipeline.events.model import Micros, Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.store.insert import Refused
from pipeline.stream.chunk import Chunk
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.topic_table import ROOM, Copy, TopicTable

TP = TopicPartition("counts", 0)


class Row(NamedTuple):
    """What a record becomes."""

    text: str


def row(record: Record) -> Row | None:
    text = (record.value or b"").decode()
    if text == "bad":
        raise DecodeError(Reason.MALFORMED, "bad")
    if text == "bug":
        raise ZeroDivisionError
    return Row(text) if text != "none" else None


class Outside:
    """Table, dead-letter topic and offsets, in the order in which they were written."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.acked: list[int] = []
        self._changed = asyncio.Event()

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        self._tell("asked", len(rows))
        await self.answers.wait()
        self._tell(table, [each[0] for each in rows])
        return [Refused(each, 469, "no") for each in rows if each[0] == "refused"]

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self._tell("dead", [(letter.record.offset, letter.reason, letter.stage) for letter in letters])

    async def commit(self, chunks: Sequence[Chunk]) -> None:
        self._tell("commit", [chunk.records[-1].offset for chunk in chunks])

    def of(self, name: str) -> list[Any]:
        return [what for kind, what in self.calls if kind == name]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def chunk(self, first: int, *texts: str) -> Chunk:
        records = [Record(TP.topic, 0, first + at, Micros(7), b"k", text.encode(), ()) for at, text in enumerate(texts)]
        return Chunk(TP, records, lambda: self._ack(records[-1].offset))

    def _ack(self, last: int) -> None:
        self.acked.append(last)
        self._changed.set()

    def _tell(self, name: str, what: Any) -> None:
        self.calls.append((name, what))
        self._changed.set()


@asynccontextmanager
async def running(outside: Outside) -> AsyncIterator[TopicTable]:
    table = TopicTable(Copy(TP.topic, "rows", row, outside.dead_letters), outside, interval=0.01)
    task = asyncio.create_task(table.run(outside.commit))
    yield table
    task.cancel()


async def test_rows_are_inserted_before_their_offsets_are_committed() -> None:
    outside = Outside()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a", "none", "b"))
        await table.take(outside.chunk(3, "c"))
        await outside.until(lambda: outside.acked == [2, 3])
    assert outside.calls == [("asked", 3), ("rows", ["a", "b", "c"]), ("commit", [2, 3])]


async def test_a_record_without_a_row_and_a_row_that_is_refused_become_dead_letters_before_the_commit() -> None:
    outside = Outside()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a", "bad", "refused", "b", "bug"))
        await outside.until(lambda: bool(outside.acked))
    assert outside.calls[1:] == [
        ("rows", ["a", "refused", "b"]),
        (
            "dead",
            [(1, Reason.MALFORMED, "table"), (4, Reason.DECODER_FAILED, "table"), (2, Reason.STORE_REFUSED, "table")],
        ),
        ("commit", [4]),
    ]  # fmt: skip


async def test_what_comes_while_the_store_is_away_is_one_insert_afterwards() -> None:
    outside = Outside()
    outside.answers.clear()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a"))
        await outside.until(lambda: bool(outside.of("asked")))
        for offset in range(1, 20):
            await table.take(outside.chunk(offset, "x"))
        assert not outside.of("commit")
        outside.answers.set()
        await outside.until(lambda: len(outside.acked) == 20)
    assert [len(rows) for rows in outside.of("rows")] == [1, 19]


async def test_what_waits_is_bounded() -> None:
    outside = Outside()
    outside.answers.clear()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a"))
        await outside.until(lambda: bool(outside.of("asked")))
        await table.take(outside.chunk(1, "x" * ROOM))
        third = asyncio.create_task(table.take(outside.chunk(2, "b")))
        await asyncio.wait([third], timeout=0.05)
        assert not third.done()
        outside.answers.set()
        await asyncio.wait_for(third, 5)
        await outside.until(lambda: len(outside.acked) == 3)


async def test_partitions_that_go_are_acknowledged_and_not_committed() -> None:
    outside = Outside()
    outside.answers.clear()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a"))
        await outside.until(lambda: bool(outside.of("asked")))
        await table.take(outside.chunk(1, "b"))
        table.drop()
        await outside.until(lambda: sorted(outside.acked) == [0, 1])
        outside.answers.set()
        await table.take(outside.chunk(0, "a", "b"))  # of the next assignment
        await outside.until(lambda: bool(outside.of("commit")))
    assert outside.of("commit") == [[1]]


async def test_a_chunk_that_waits_for_room_while_its_partition_goes_commits_nothing_of_those_before_it() -> None:
    outside = Outside()
    outside.answers.clear()
    async with running(outside) as table:
        await table.take(outside.chunk(0, "a"))
        await outside.until(lambda: bool(outside.of("asked")))
        await table.take(outside.chunk(1, "x" * ROOM))
        late = asyncio.create_task(table.take(outside.chunk(2, "b")))
        await asyncio.wait([late], timeout=0.05)
        table.drop()
        outside.answers.set()
        await asyncio.wait_for(late, 5)
        await outside.until(lambda: sorted(outside.acked) == [0, 1, 2])
        await table.take(outside.chunk(0, "a"))  # of the next assignment: the one that waited was written with none
        await outside.until(lambda: bool(outside.of("commit")))
    assert (outside.of("rows"), outside.of("commit")) == ([["a"]], [[0]])
