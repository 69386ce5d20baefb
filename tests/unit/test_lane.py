"""The cold lane: what must be read back first waits here, together and bounded, and nobody else does."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.stream import lane as lane_module
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.intake import Intake, Taken
from pipeline.stream.lane import ColdLane
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part
from pipeline.stream.partition import Limits, Partition, Thrown
from pipeline.stream.persist import Cancelled
from pipeline.stream.stages import Stages

Name = tuple[str, str]
TP = TopicPartition("events", 0)


def taken(offset: int, *traces: str, size: int = 10) -> Taken:
    """A chunk with one trace event of each of these."""
    records = [Record("events", 0, offset, Micros(1), f"p/{trace}".encode(), b"x" * size, ()) for trace in traces]
    events = [Event("p", trace, Kind.TRACE, trace, f"e{offset}", Micros(1), {}) for trace in traces]
    decoded = [(record, [event]) for record, event in zip(records, events, strict=True)]
    return Taken(Span(TP, offset, offset, len(traces), lambda: None), ChunkCount(), decoded, [])


class Lane:
    """A lane whose archive answers when it is told to."""

    def __init__(self, max_bytes: int = 1000) -> None:
        self.partition = Partition(TP, Limits(2, 60, 1000, 100, 10_000, 100, 10_000))
        self.batch = Batch()
        self.asked: list[list[Name]] = []
        self.pinned: list[set[bytes]] = []
        self.brought: list[tuple[bytes, list[str]]] = []
        self.absent: set[str] = set()
        self.answers = asyncio.Semaphore(0)
        self.lane = ColdLane(self.partition, Intake(2**20, Stages(None)), self, lambda: self.batch, max_bytes)
        self.task = asyncio.create_task(self.lane.run())

    async def read_back(self, partition: Partition, names: Sequence[Name]) -> None:
        self.asked.append(list(names))
        self.pinned.append(set(partition.pinned))
        await self.answers.acquire()
        for project_id, trace_id in names:
            if trace_id not in self.absent:
                partition.create(f"{project_id}/{trace_id}".encode(), project_id, trace_id, Micros(1))

    async def bring_back(self, partition: Partition, key: bytes, ids: Sequence[str]) -> None:
        self.brought.append((key, list(ids)))

    def answer(self, times: int = 1) -> None:
        for _ in range(times):
            self.answers.release()

    def folded(self) -> list[int]:
        """First offsets of the chunks that are folded."""
        return [chunk.first for part in self.batch.parts.values() for chunk, _ in part.chunks]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


@pytest.fixture
async def lane() -> Lane:
    return Lane()


async def test_a_chunk_is_folded_when_its_traces_are_back(lane: Lane) -> None:
    lane.lane.put(taken(1, "a", "b", "a"))
    await until(lambda: bool(lane.asked))
    assert (lane.asked, lane.folded()) == ([[("p", "a"), ("p", "b")]], [])
    assert lane.pinned == [{b"p/a", b"p/b"}]
    lane.answer()
    await until(lambda: lane.folded() == [1])
    assert (list(lane.partition.unwritten), lane.partition.pinned, lane.lane.close()) == ([b"p/a", b"p/b"], set(), [])
    [part] = lane.partition.parts._parts
    assert (part.holders, part.chunks[0][1]) == (2, ChunkCount(new=2, duplicate=1))
    lane.task.cancel()


async def test_chunks_that_wait_are_read_back_together_and_folded_in_order(lane: Lane) -> None:
    for offset, trace in enumerate("abc"):
        lane.lane.put(taken(offset, trace))
    lane.answer(3)
    await until(lambda: lane.folded() == [0, 1, 2])
    assert lane.asked == [[("p", "a"), ("p", "b"), ("p", "c")]]
    lane.task.cancel()


async def test_no_more_is_read_back_at_once_than_there_is_room_for(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "TRACES_AT_ONCE", 2)
    for offset, trace in enumerate("abc"):
        lane.lane.put(taken(offset, trace))
    lane.lane.call([("p", name) for name in "xyz"])
    lane.answer(10)
    await until(lambda: lane.folded() == [0, 1, 2] and len(lane.asked) == 4)
    assert max(map(len, lane.asked)) == 2
    assert sorted(name for names in lane.asked for _, name in names) == list("abcxyz")
    lane.task.cancel()


async def test_sleeping_traces_that_are_called_settle_and_one_that_is_not_there_is_forgotten(lane: Lane) -> None:
    lane.absent = {"gone"}
    lane.lane.call([("p", "a"), ("p", "gone")])
    lane.answer()
    await until(lambda: bool(lane.partition.woken))
    assert list(lane.partition.due(Micros(0))) == [(b"p/a", True)]
    assert not lane.batch
    lane.task.cancel()


async def test_a_chunk_goes_into_the_batch_that_is_filled_when_it_is_folded(lane: Lane) -> None:
    old = lane.batch
    lane.lane.put(taken(1, "a"))
    await until(lambda: bool(lane.asked))
    lane.batch = Batch()
    lane.answer()
    await until(lambda: lane.folded() == [1])
    assert (bool(old), lane.batch.events, len(lane.batch.archive)) == (False, 1, 1)
    lane.task.cancel()


async def test_above_its_bytes_the_lane_has_no_room_until_enough_is_folded(lane: Lane) -> None:
    lane.lane.put(taken(1, "a", size=1000))
    async with asyncio.timeout(10):
        await lane.lane.has_room.wait()
    lane.lane.put(taken(2, "b", size=1))
    waits = asyncio.create_task(lane.lane.has_room.wait())
    await until(lambda: bool(lane.asked))
    assert not waits.done()
    assert (lane.lane.records, lane.lane.bytes > 1000) == (2, True)
    lane.answer(2)
    async with asyncio.timeout(10):
        await waits
    await until(lambda: lane.folded() == [1, 2])
    assert (lane.lane.records, lane.lane.bytes) == (0, 0)
    lane.task.cancel()


async def test_a_partition_that_is_gone_gives_its_chunks_back_and_lets_go_who_waits(lane: Lane) -> None:
    for offset in (1, 2):
        lane.lane.put(taken(offset, "a", size=2000))
    waits = asyncio.create_task(lane.lane.has_room.wait())
    await until(lambda: bool(lane.asked))
    lane.partition.revoked = True
    assert [chunk.first for chunk in lane.lane.close()] == [1, 2]
    lane.answer()
    async with asyncio.timeout(10):
        await waits
        with pytest.raises(Cancelled):
            await lane.task
    assert not lane.batch


async def test_a_lane_with_nothing_in_it_ends_when_its_partition_is_gone(lane: Lane) -> None:
    await asyncio.sleep(0)
    lane.partition.revoked = True
    assert lane.lane.close() == []
    async with asyncio.timeout(10):
        await lane.task


async def test_content_that_was_let_go_comes_back_when_a_row_needs_it() -> None:
    lane = Lane()
    lane.lane.want(b"p/t", ["o1", "o2"])
    while not lane.brought:
        await asyncio.sleep(0)
    assert lane.brought == [(b"p/t", ["o1", "o2"])]
    lane.task.cancel()


async def test_what_waits_for_a_trace_that_was_thrown_out_is_weighed_and_given_back_once(lane: Lane) -> None:
    lane.lane.put(taken(1, "a", "b"))
    await until(lambda: bool(lane.asked))
    part = Part(holders=1)
    lane.partition.thrown[b"p/a"] = Thrown(("p", "a"), part, part, Micros(1))
    lane.answer()
    await until(lambda: bool(lane.batch.archive))
    assert (lane.lane.records, lane.lane.bytes, lane.batch.bytes, lane.folded()) == (1, 10, 10, [])
    part.flushed = True
    lane.answer()
    await until(lambda: lane.folded() == [1])
    assert (lane.lane.records, lane.lane.bytes, lane.batch.bytes) == (0, 0, 20)
