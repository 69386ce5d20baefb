"""Records with media in them wait for these to be durable; nobody else does, and nothing is committed before."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.media import Medium
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.partition import partition_of
from pipeline.stream.chunk import Chunk
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.flush import Flush
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.pace import Pace
from pipeline.stream.partition import Limits
from pipeline.stream.persist import Cancelled
from pipeline.stream.pipeline import Pipeline
from pipeline.stream.stages import Stages
from tests.unit.test_revoke import SOON, Outside, soon

HERE, THERE = TopicPartition("events", 0), TopicPartition("events", 1)
URI = f"data:image/png;base64,{base64.b64encode(bytes(90)).decode()}"


class Media:
    """A store of media that says nothing until it is told to."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.goes = asyncio.Event()
        self.looks_up = True  # and sees that nobody needs it any more

    async def keep(self, found: Sequence[tuple[str, Medium]], unneeded: Callable[[], bool]) -> None:
        self.asked.append(len(found))
        while not self.goes.is_set():
            await asyncio.sleep(0)
            if self.looks_up and unneeded():
                raise Cancelled


async def owning(outside: Any, media: Media, pending_bytes: int = 2**30) -> Pipeline:
    stages = Stages(None)
    collector = Collector(ObservationPricer, lambda _: (), Waits(0.4, 1.0, 5.0), stages)
    flush = Flush(outside, outside, outside.commit, outside.archived)
    limits, pace = Limits(2, 60, 1000, 100, 10**6, 100, 10**6), Pace(60, 1000, 1000, pending_bytes)
    worker = Pipeline(outside, Intake(2**20, stages), collector, flush, limits, pace, stages, keep=media.keep)
    await worker.partitions_assigned({HERE, THERE})
    for each in worker.partitions.values():
        await each.ready.wait()
    return worker


def chunk(outside: Outside, tp: TopicPartition, offset: int, **inputs: str) -> Chunk:
    """A record for each trace, with this input."""
    records = []
    for place, (trace, text) in enumerate(inputs.items(), offset):
        event = Event("p", trace, Kind.OBSERVATION, "o", f"e{place}", Micros(1), {"input": text})
        named = ((headers.CONTENT_TYPE, headers.CANONICAL_JSON),)
        value = to_canonical_json(event)
        records.append(Record("events", tp.partition, place, Micros(1), record_key("p", trace), value, named))
    return Chunk(tp, records, partial(outside.acked.append, records[-1].offset))


def home(partition: int) -> Sequence[str]:
    """Traces that are at home there, of two."""
    return [f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == partition]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def test_a_store_of_media_that_hangs_holds_up_its_own_records_and_nothing_else() -> None:
    outside, media = Outside(count=2), Media()
    worker = await owning(outside, media)
    (laden, light, *_), (other, *_) = home(0), home(1)
    async with asyncio.timeout(10):
        await worker.take(chunk(outside, HERE, 0, **{laden: URI, light: "text"}))
        await worker.take(chunk(outside, THERE, 7, **{other: "text"}))
    here, there = worker.partitions[HERE], worker.partitions[THERE]
    assert (list(here.traces), list(there.traces)) == ([record_key("p", light)], [record_key("p", other)])
    await worker.flush(everything=True)
    assert outside.committed == [7], "what refers to media that are not there is not done"
    media.goes.set()
    await until(lambda: record_key("p", laden) in here.traces)
    await worker.flush(everything=True)
    assert (media.asked, outside.committed, outside.acked) == ([1], [7, 1], [7, 1])


async def test_a_partition_that_goes_while_its_media_wait_is_given_back_uncommitted() -> None:
    outside, media = Outside(), Media()
    worker = await owning(outside, media)
    await worker.take(chunk(outside, HERE, 0, a=URI))
    await until(lambda: bool(media.asked))
    began = asyncio.get_running_loop().time()
    await worker.partitions_revoked({HERE, THERE}, soon())
    assert asyncio.get_running_loop().time() - began < SOON + 2
    media.goes.set()
    await asyncio.sleep(0)
    await worker.flush(everything=True)
    assert (outside.committed, outside.acked) == ([], [0])


async def test_media_that_were_stored_when_the_partition_had_just_gone_change_nothing() -> None:
    outside, media = Outside(), Media()
    media.looks_up = False
    worker = await owning(outside, media)
    await worker.take(chunk(outside, HERE, 0, a=URI))
    await until(lambda: bool(media.asked))
    await worker.partitions_revoked({HERE, THERE}, soon())
    media.goes.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not worker._owned.failed.done()
    await worker.flush(everything=True)
    assert (outside.committed, outside.acked) == ([], [0])


async def test_what_waits_for_media_is_bounded_and_others_are_still_taken() -> None:
    outside, media = Outside(), Media()
    worker = await owning(outside, media, pending_bytes=2000)
    await worker.take(chunk(outside, HERE, 0, a=URI * 3))
    waits = asyncio.create_task(worker.take(chunk(outside, HERE, 1, b=URI)))
    await asyncio.sleep(0)
    await worker.flush(everything=True)
    await worker.take(chunk(outside, THERE, 0, c="text"))
    assert not waits.done()
    media.goes.set()
    await asyncio.wait_for(waits, 10)
    await until(lambda: record_key("p", "b") in worker.partitions[HERE].traces)
    await worker.flush(everything=True)
    assert sorted(outside.committed) == [0, 0, 1]


async def test_media_of_a_record_that_belongs_elsewhere_are_stored_there() -> None:
    outside, media = Outside(count=2), Media()
    worker = await owning(outside, media)
    await worker.take(chunk(outside, HERE, 0, **{home(1)[0]: URI}))
    await worker.flush(everything=True)
    assert (media.asked, outside.committed, len(outside.moved)) == ([], [0], 1)


@pytest.mark.parametrize("known", [False, True])
async def test_a_trace_of_the_archive_is_read_back_after_its_media_are_there(known: bool) -> None:
    outside, media = Outside(), Media()
    media.goes.set()
    asked: list[Sequence[tuple[str, str]]] = []

    async def read_back(_: object, names: Sequence[tuple[str, str]]) -> None:
        asked.append(names)

    outside.read_back = read_back  # type: ignore[attr-defined]
    worker = await owning(outside, media)
    partition = worker.partitions[HERE]
    if known:
        partition.perhaps_archived = lambda *_: True  # type: ignore[method-assign]
    await worker.take(chunk(outside, HERE, 0, a=URI))
    await until(lambda: record_key("p", "a") in partition.traces)
    assert asked == ([[("p", "a")]] if known else [])


async def test_what_waits_for_media_weighs_in_its_lane_and_then_in_the_batch_that_it_is_folded_into() -> None:
    outside, media = Outside(count=2), Media()
    worker = await owning(outside, media)
    laden, light, *_ = home(0)
    some = chunk(outside, HERE, 0, **{laden: URI, light: "text"})
    laden_bytes, light_bytes = (len(record.value or b"") for record in some.records)
    await worker.take(some)
    assert (worker.batch.bytes, worker._media[worker.partitions[HERE]].records) == (light_bytes, 1)
    await worker.flush(everything=True)
    media.goes.set()
    await until(lambda: bool(worker.batch.archive))
    assert worker.batch.bytes == laden_bytes
