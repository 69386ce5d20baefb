"""Fresh events first: a chunk is put aside where all of it is old, whole, and never twice."""

from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.stream.chunk import Chunk
from pipeline.stream.fresh import FreshFirst
from pipeline.stream.moves import MOST_BYTES, Move
from pipeline.stream.offsets import TopicPartition

NOW = 1_800_000_000_000_000  # microseconds
MOVED = ((headers.MOVED, b"1"),)


def chunk(*ages: float, moved: bool = False) -> Chunk:
    """Records of these ages in seconds."""
    records = [
        Record("events", 5, offset, Micros(int(NOW - age * 1e6)), b"p/t", b"{}", MOVED if moved and not offset else ())
        for offset, age in enumerate(ages)
    ]
    return Chunk(TopicPartition("events", 5), records, lambda: None)


async def aside(given: Chunk, seconds: float = 60.0, partitions: int = 3) -> list[Move]:
    asked: list[str] = []

    async def count(topic: str) -> int:
        asked.append(topic)
        return partitions

    fresh = FreshFirst(seconds, "overflow", count, lambda: NOW * 1000)
    moves = await fresh(given)
    assert await fresh(given) == moves
    assert asked == (["overflow"] if moves else []), "the count is asked when it is needed, once"
    return moves


async def test_an_old_chunk_goes_to_the_overflow_as_it_is() -> None:
    old = chunk(100, 90, 61)
    assert await aside(old) == [Move("overflow", 2, record) for record in old.records]
    assert {move.partition for move in await aside(old, partitions=9)} == {5}


async def test_a_chunk_that_ends_with_a_fresh_record_is_folded() -> None:
    assert await aside(chunk(100, 90, 59)) == []


async def test_a_chunk_that_came_back_is_folded_however_old_it_looks() -> None:
    assert await aside(chunk(1000, 900, moved=True)) == []


async def test_a_chunk_with_a_record_that_may_not_fit_into_the_overflow_is_folded() -> None:
    old = chunk(100, 90)
    large = old.records[1]._replace(headers=(("x", bytes(MOST_BYTES)),))
    assert await aside(Chunk(old.tp, [old.records[0], large], old.ack)) == []


async def test_a_chunk_with_a_record_that_the_overflow_is_known_not_to_take_is_folded() -> None:
    old = chunk(100, 90)

    async def three(_: str) -> int:
        return 3

    for most, moves in ((5, 2), (4, 0)):
        fresh = FreshFirst(60, "overflow", three, lambda: NOW * 1000, {"overflow": most}.__getitem__)
        assert len(await fresh(old)) == moves


async def test_without_the_setting_nothing_is_old() -> None:
    assert await aside(chunk(10**6), seconds=0) == []
