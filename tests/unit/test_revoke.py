"""Giving partitions back: everything is written in time, or it is dropped uncommitted at the one deadline."""

import asyncio
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.partition import partition_of
from pipeline.store import tables
from pipeline.stream.chunk import Chunk, Span
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.flush import Flush
from pipeline.stream.intake import Intake
from pipeline.stream.moves import Move
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.pace import Pace
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.pipeline import Pipeline
from pipeline.stream.stages import Stages

TP = TopicPartition("events", 0)
SOON = 0.2  # seconds


class Outside:
    """An archive that holds nothing, a store that hangs until it is let go, topics, and commits."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.goes = asyncio.Event()
        self.goes.set()
        self.committed: list[int] = []
        self.moved: list[Move] = []
        self.acked: list[int] = []
        self.ranges: list[Any] = []

    async def open(self, partition: Partition) -> None:
        partition.count = self.count
        partition.known.replace(array("Q"))
        partition.ready.set()

    async def insert(self, table: str, rows: Sequence[Any], token: str) -> list[Any]:
        await self.goes.wait()
        self.ranges += rows if table == tables.OFFSET_RANGES else []
        return []

    async def dead_letters(self, letters: Sequence[Any]) -> None:
        assert not letters

    async def evaluations(self, requests: Sequence[Any]) -> None:
        assert not requests

    async def move(self, moves: Sequence[Move]) -> None:
        await self.goes.wait()
        self.moved += moves

    async def commit(self, chunks: Sequence[Span]) -> None:
        self.committed += [chunk.last for chunk in chunks]
        for chunk in chunks:
            chunk.ack()

    async def archived(self, _: Sequence[Any]) -> list[Any]:
        raise AssertionError("nothing was refused")

    def chunk(self, offset: int, *traces: str) -> Chunk:
        records = []
        for place, trace in enumerate(traces, offset):
            event = Event("p", trace, Kind.OBSERVATION, "o", f"e{place}", Micros(1), {"name": "open"})
            named = ((headers.CONTENT_TYPE, headers.CANONICAL_JSON),)
            records.append(
                Record("events", 0, place, Micros(1), record_key("p", trace), to_canonical_json(event), named)
            )
        return Chunk(TP, records, lambda: self.acked.append(records[-1].offset))


def pipeline(outside: Any, pending_events: int = 1000) -> Pipeline:
    stages = Stages(None)
    collector = Collector(ObservationPricer, lambda _: (), Waits(0.4, 1.0, 5.0), stages)
    flush = Flush(outside, outside, outside.commit, outside.archived)
    limits = Limits(2, 60, 1000, 100, 10**6, 100, 10**6)
    return Pipeline(
        outside, Intake(2**20, stages), collector, flush, limits, Pace(60, 1000, pending_events, 2**30), stages
    )


async def owning(outside: Outside, pending_events: int = 1000) -> Pipeline:
    made = pipeline(outside, pending_events)
    await made.partitions_assigned({TP})
    await made.partitions[TP].ready.wait()
    return made


def soon() -> float:
    return asyncio.get_running_loop().time() + SOON


async def test_what_waits_for_its_end_is_written_and_committed_when_the_partition_goes() -> None:
    outside = Outside()
    worker = await owning(outside)
    await worker.take(outside.chunk(0, "a", "b"))
    await worker.flush()
    assert outside.committed == [], "both observations are open"
    await worker.partitions_revoked({TP}, soon())
    assert (outside.committed, outside.acked, worker.partitions) == ([1], [1], {})


async def test_while_the_store_hangs_a_partition_goes_at_the_deadline_uncommitted_and_nobody_waits_for_its_chunks() -> (
    None
):
    outside = Outside()
    worker = await owning(outside, pending_events=1)
    await worker.take(outside.chunk(0, "a"))
    outside.goes.clear()
    waits = asyncio.create_task(worker.take(outside.chunk(1, "b")))  # there is no room
    began = asyncio.get_running_loop().time()
    await worker.partitions_revoked({TP}, began + SOON)
    await asyncio.wait_for(waits, 5)
    assert asyncio.get_running_loop().time() - began < SOON + 2
    assert (outside.committed, sorted(outside.acked), worker.partitions) == ([], [0, 1], {})
    outside.goes.set()
    await worker.flush()
    assert outside.committed == [], "what was given up is not committed later"


async def test_a_worker_that_stops_gives_everything_back_and_takes_nothing_more() -> None:
    outside = Outside()
    worker = await owning(outside)
    await worker.take(outside.chunk(0, "a"))
    await worker.close(soon())
    await worker.take(outside.chunk(1, "b"))
    await worker.partitions_assigned({TP})
    assert (outside.committed, outside.acked, worker.partitions) == ([0], [0, 1], {})


async def test_a_record_that_belongs_elsewhere_is_committed_once_it_is_there() -> None:
    outside = Outside(count=2)
    worker = await owning(outside)
    here, away = (next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == at) for at in (0, 1))
    chunk = outside.chunk(0, here, away)
    await worker.take(chunk)
    assert list(worker.partitions[TP].traces) == [record_key("p", here)]
    outside.goes.clear()
    flushing = asyncio.create_task(worker.flush(everything=True))
    await asyncio.sleep(0)
    assert (outside.moved, outside.committed) == ([], [])
    outside.goes.set()
    await asyncio.wait_for(flushing, 5)
    assert [move._replace(noted=None) for move in outside.moved] == [Move("events", 1, chunk.records[1])]
    assert (outside.committed, worker.records) == ([1], 2)


@pytest.mark.parametrize("revoked_first", [True, False])
async def test_a_move_goes_with_its_partition(revoked_first: bool) -> None:
    outside = Outside(count=2)
    worker = await owning(outside)
    away = next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == 1)
    if not revoked_first:
        await worker.take(outside.chunk(0, away))
        await worker.flush()
    outside.goes.clear()
    await worker.take(outside.chunk(1, away))
    await worker.partitions_revoked({TP}, soon())
    outside.goes.set()
    await worker.flush()
    assert (len(outside.moved), outside.committed) == ((0, []) if revoked_first else (1, [0]))


async def test_records_that_come_again_to_the_same_owner_are_taken_in_once_and_hold_no_commit() -> None:
    """A fetch that outlasts a rebalance may bring what is fetched again."""
    outside = Outside()
    worker = await owning(outside)
    await worker.take(outside.chunk(0, "a", "b"))
    await worker.take(outside.chunk(0, "a"))
    await worker.take(outside.chunk(1, "b", "c"))
    await worker.flush(everything=True)
    assert outside.committed == [1, 0, 2]
    ranges = [(row.first, row.last, row.records, row.new, row.duplicate) for row in outside.ranges]
    assert ranges == [(0, 1, 2, 2, 0), (2, 2, 1, 1, 0)]


async def test_a_chunk_that_comes_again_is_committed_after_the_one_that_has_its_rows() -> None:
    outside = Outside()
    worker = await owning(outside)
    await worker.take(outside.chunk(0, "a"))
    await worker.flush()
    await worker.take(outside.chunk(0, "a"))
    await worker.flush()
    assert outside.committed == [], "the observation is open and its row not written"
    await worker.flush(everything=True)
    assert outside.committed == [0, 0]
