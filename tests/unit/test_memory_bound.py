"""I6: a worker's memory is bounded by its setting, whatever waits for it: intake pauses at what is really held.

The real pipeline takes a backlog many times larger than its memory from somebody who never waits, while its store is
slow. What it says that it holds must never pass the bound by more than the chunk that reached it, and what Python's own
account says (tracemalloc) must not either: the estimate is an honest one.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from pipeline.config import Settings
from pipeline.stream.app import BUFFERED, FETCH_BYTES
from pipeline.stream.held import BESIDE, FETCHED, GOAL, LEAST, Held, share_of_traces
from tests.bench.simulated import Said, SimulatedWorker, batched, created, ended, simulated

MiB = 2**20
MEMORY = 5 * MiB
CHUNK = 25_000  # bytes
ROOM = 1.3  # times the estimate: a chunk on its way, codecs, and what is weighed a little too lightly
NEVER = {"settle_quiet": 10**6, "settle_idle": 10**6}  # what has left memory is not called back to settle
TURNS = 30  # of the loop that an insert takes
CASES = {  # traces, observations, characters
    "ordinary": (250, 4, 500),
    "tiny": (900, 1, 0),
    "large": (8, 20, 40_000),
    "a giant": (1, 1_000, 500),
}


def backlog(traces: int, observations: int, text: int) -> Iterator[Said]:
    """Traces, observations of each, characters of each event's text."""
    for number in range(traces):
        for place in range(observations):
            id_, trace = f"o{number:07d}{place:07d}", f"{number:032x}"
            yield created(trace, id_, None, number, text=text)
            yield ended(trace, id_, number, text=text)


class Seen(NamedTuple):
    """The most that was held, by the worker's estimate and in truth, bytes; and how many rows were archived."""

    estimated: int
    traced: int
    archived: int
    waited: bool


def run(case: str, memory: int) -> Seen:
    """Take it all in while flushes go on."""
    events, per_chunk = backlog(*CASES[case]), max(CHUNK // (500 + CASES[case][2]), 1)
    with simulated(memory_bytes=BESIDE + memory, resident_bytes=memory, trace_bytes=MiB, **NEVER) as (worker, do):
        insert, estimated, traced = worker.store.insert, 0, 0

        async def slowly(table: str, rows: Sequence[Any], token: str) -> Any:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return await insert(table, rows, token)

        async def feed() -> None:
            nonlocal estimated, traced
            for some in batched(events, per_chunk):
                await worker.take(some)
                estimated = max(estimated, worker.pipeline.held().total)
                traced = max(traced, tracemalloc.get_traced_memory()[0])

        worker.store.insert = slowly  # type: ignore[method-assign]
        gc.collect()
        tracemalloc.start()
        waited = do(until_fed(worker, feed()))
        tracemalloc.stop()
        while worker.partition.unwritten:
            do(worker.tick())
        return Seen(estimated, traced, worker.store.rows["raw_events"], waited)


async def until_fed(worker: SimulatedWorker, feed: Any) -> bool:
    """Flush until all was taken; whether intake waited meanwhile."""
    feeding, waited = asyncio.ensure_future(feed), False
    while not feeding.done():
        waited = waited or "store" in worker.pipeline.pressure.waiting
        await worker.tick()
    feeding.result()
    return waited


@pytest.mark.parametrize("case", CASES)
def test_whatever_waits_no_more_is_held_than_memory_is_given(case: str) -> None:
    seen = run(case, MEMORY)
    traces, observations, _ = CASES[case]
    assert seen.waited
    assert seen.estimated < MEMORY * 1.1, "but for the chunk that reached the bound"
    assert seen.traced < MEMORY * ROOM
    assert seen.archived == 2 * traces * observations


def test_without_the_bound_the_same_backlog_takes_much_more() -> None:
    seen = run("large", 2**50)
    assert not seen.waited
    assert seen.traced > 2 * ROOM * MEMORY


async def goes_on(worker: SimulatedWorker) -> None:
    """Take a few chunks while its own loop flushes; then have it wait with nothing to do."""
    flush, flushes = worker.pipeline.flush, 0

    async def counted(*, everything: bool = False) -> None:
        nonlocal flushes
        flushes += 1
        assert flushes < 1_000, "it turns without a rest"
        await flush(everything=everything)

    worker.pipeline.flush = counted  # type: ignore[method-assign]
    running = asyncio.create_task(worker.pipeline.run())
    async with asyncio.timeout(30):
        for some in batched(backlog(40, 1, 0), 20):
            await worker.take(some)
        await worker.pipeline.pressure.wait("store", worker.pipeline._room)
        while worker.store.rows["raw_events"] < 80 or worker.partition.unwritten:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_worker_with_no_memory_at_all_takes_a_chunk_for_each_flush_and_rests() -> None:
    with simulated(memory_bytes=BESIDE, resident_bytes=1, flush_interval=0.01, **NEVER) as (worker, do):  # type: ignore[arg-type]
        do(goes_on(worker))
        assert worker.store.rows["raw_events"] == 80


@pytest.mark.parametrize(
    ("held", "share"),
    [
        (Held(0, 0), 1.0),
        (Held(10**9, 0), 1.0),  # it is their limit that counts, not what they hold now
        (Held(0, int(GOAL * 10_000) - 500), 0.5),
        (Held(0, 10**9), LEAST),
    ],
)
def test_traces_may_keep_what_other_things_leave_of_the_memory(held: Held, share: float) -> None:
    assert share_of_traces(held, 10_000, 1_000) == pytest.approx(share, abs=0.01)


def test_what_is_fetched_ahead_is_bounded_as_the_estimate_says() -> None:
    settings, record = Settings(), 1_000 + 500  # bytes of an event of 1 KB, and of the objects around it
    chunks = BUFFERED + 2  # that wait for the agent, the one it has, and the one that waits to be put there
    assert chunks * settings.poll_records * record + settings.topic_partitions * FETCH_BYTES < FETCHED
