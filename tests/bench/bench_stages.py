"""The worker's stages alone, without Kafka and ClickHouse: each as a multiple of parsing the same JSON with orjson.

Ratios of one run on one machine can be compared with those of another; times cannot. Run it twice before believing it:
`python -m tests.bench.bench_stages [EVENTS] [OPEN_TRACES] [EVENTS_PER_FLUSH]`
"""

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Micros, Record
from pipeline.metrics import Metrics, Role
from pipeline.ops.bench.traffic import EVENTS_PER_TRACE, OBSERVATIONS, traffic
from pipeline.store import tables
from pipeline.store.insert import Refused, compressed
from pipeline.store.native import encode
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.counted import count_freshness
from pipeline.stream.flush import Flush
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.stages import Stages
from pipeline.stream.worker import calm_collector

CHUNK = 1_000
REPEATS = 5
START = 1_767_225_600_000_000  # µs
TP = TopicPartition("bench.events", 0)
METRICS = Metrics(Role.WORKER)
T = TypeVar("T")
Times = defaultdict[str, float]


class NoStore:
    """A store that encodes and compresses like the real one, and sends nothing."""

    def __init__(self, times: Times) -> None:
        self.times = times

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """Nothing is refused."""
        if rows:
            block = timed(self.times, "encode", lambda: encode(tables.TABLES[table], rows))
            timed(self.times, "compress", lambda: compressed(block))
        return []


class NoOutbox:
    """An outbox that has nothing to send."""

    async def dead_letters(self, letters: Sequence[object]) -> None:
        """The traffic is good."""
        assert not letters

    async def evaluations(self, requests: Sequence[object]) -> None:
        """There are no rules."""
        assert not requests

    async def move(self, moves: Sequence[object]) -> None:
        """There is one partition."""
        assert not moves


def timed(times: Times, name: str, work: Callable[[], T]) -> T:
    """CPU seconds of `work`, added to `times`."""
    began = time.thread_time()
    result = work()
    times[name] += time.thread_time() - began
    return result


async def run_once(records: list[Record], events_per_flush: int, stages: Stages) -> Times:
    """Fold all records of one partition; CPU seconds of what stands outside the stages."""
    times: Times = defaultdict(float)
    rows: list[int] = []

    async def nothing(_: object) -> Any:
        """No offsets here, and nothing is refused."""

    partition = Partition(TP, Limits(2.0, 60.0, 86_400.0, 10**6, 2**40, 10**6, 2**40), lambda: clock)
    intake = Intake(10**7, stages)
    collector = Collector(ObservationPricer, lambda _: [], Waits(0.4, 1.0, 5.0), stages)
    flush = Flush(NoStore(times), NoOutbox(), nothing, nothing, METRICS)
    batch = Batch()
    clock = Micros(10_000_000)
    price = ObservationPricer()
    collector = Collector(lambda: price, lambda _: [], Waits(0.4, 1.0, 5.0), stages)
    for at in range(0, len(records), CHUNK):
        chunk = Chunk(TP, records[at : at + CHUNK], lambda: None)
        taken = intake.decode(chunk)
        count_freshness(METRICS, "decoded", (taken.chunk,))
        intake.fold(batch, partition, taken.decoded, taken.became)
        batch.add(partition, taken.chunk, taken.became)
        if batch.events >= events_per_flush or at + CHUNK >= len(records):
            clock = Micros(clock + 400_000)
            collected = collector.collect(batch, [partition])
            await flush.write(batch, collected, list)
            batch = Batch()
            rows.extend(map(len, collected.rows))
    for _ in range(20):
        clock = Micros(clock + 400_000)
        collected = collector.collect(batch, [partition])
        await flush.write(batch, collected, list)
        batch = Batch()
        rows.extend(map(len, collected.rows))
    times["row versions per observation"] = sum(rows[1::3]) / (len(records) / EVENTS_PER_TRACE * OBSERVATIONS)
    return times


def measure(records: list[Record], events_per_flush: int) -> dict[str, float]:
    """The smallest CPU seconds of each stage over some repetitions."""
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(REPEATS):
            stages = Stages(Path(folder) / "stages.json", METRICS)
            times = asyncio.run(run_once(records, events_per_flush, stages))
            stages.write()
            times |= orjson.loads((Path(folder) / "stages.json").read_bytes())["stages"]
            timed(times, "orjson.loads", lambda: [orjson.loads(record.value or b"") for record in records])
            best = {name: min(seconds, best.get(name, seconds)) for name, seconds in times.items()}
    return best


def main(events: int = 34_000, open_traces: int = 1_000, events_per_flush: int = 17_000) -> None:
    """Print the ratios, and µs of CPU per event beside them."""
    records = [
        Record(*TP, offset, Micros(START + offset), outgoing.key, outgoing.value, outgoing.headers)
        for offset, outgoing in enumerate(traffic(events, open_traces))
    ]
    calm_collector()
    measure(records[:CHUNK], events_per_flush)  # imports and caches
    best = measure(records, events_per_flush)
    unit, versions = best.pop("orjson.loads"), best.pop("row versions per observation")
    print(
        f"{len(records)} events, {open_traces} traces in flight, flushed by {events_per_flush}: "
        f"{versions:.2f} row versions per observation"
    )
    for name, seconds in {**best, "all": sum(best.values())}.items():
        print(f"{name:10} {seconds / unit:6.2f} x orjson.loads {seconds / len(records) * 1e6:8.2f} µs per event")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
