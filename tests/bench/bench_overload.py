"""Three times what the front door takes, for minutes: real broker and store, one front door, one worker, defaults.

1 What it takes is measured: 8 connections, each of which sends as soon as it is answered.
2 Requests then start at three times that rate, whatever the answers take. A client gives up after 10 s and does not
  send again, so an answer is the last word on its events.
3 Half of what it takes, to see whether it has come back.
4 Once the worker has caught up: every event that was answered 201 is in `raw_events` and, as an observation, in the
  rows. What was answered otherwise, or not at all, may be stored or not; it is counted.

`python -m tests.bench.bench_overload [SECONDS] [TIMES]`; the worker's catching up included about twice SECONDS.
"""

import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import aiohttp
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.config import Settings
from pipeline.local.ports import find_free_port
from pipeline.ops.bench.traffic import EVENTS_PER_TRACE, OBSERVATIONS, traffic
from pipeline.registry import NewKey, open_registry
from tests.bench.services import answers, broker_and_store, status
from tests.fixtures.front_door import basic
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

TRACES = 3  # whole ones in each request
EVENTS = TRACES * EVENTS_PER_TRACE
CONNECTIONS, CLOSED_SECONDS, AFTER_SECONDS = 8, 8.0, 10.0
PATIENCE = 10.0  # seconds until a client gives up
MARK = b"@REQUEST"  # becomes the request's number, in every id
HELD = re.compile(r"^spanfold_ingest_held_bytes (\S+)", re.M)


@dataclass
class Phase:
    """What became of the requests of one phase; seconds."""

    took: float = 0.0
    sent: int = 0
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """One line."""
        shares = ", ".join(f"{what} {100 * n / self.sent:.1f} %" for what, n in sorted(self.outcomes.items()))
        rate = EVENTS / self.took
        return (
            f"{self.sent * rate:,.0f} events/s offered, {len(self.accepted) * rate:,.0f} accepted; {self.sent} "
            f"requests: {shares}; accepted {spread(self.accepted)}; refused {spread(self.refused)}"
        )


def spread(seconds: list[float]) -> str:
    """Percentiles, where there are any."""
    if len(seconds) < 2:
        return "-"
    cut = statistics.quantiles(seconds, n=100)
    return f"p50 {1e3 * cut[49]:.0f} ms, p99 {1e3 * cut[98]:.0f} ms, longest {1e3 * max(seconds):.0f} ms"


class Load:
    """Requests without end, and what each was answered."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._numbers = count()
        self._body = template()
        self.accepted: set[int] = set()
        self.partly: dict[int, set[str]] = {}
        self.sent = 0

    async def closed(self, seconds: float) -> Phase:
        """Each connection sends when it is answered."""
        phase, began = Phase(), time.perf_counter()

        async def connection() -> None:
            while time.perf_counter() - began < seconds:
                await self._send(phase)

        await asyncio.gather(*[connection() for _ in range(CONNECTIONS)])
        phase.took = time.perf_counter() - began
        return phase

    async def open(self, per_second: float, seconds: float) -> Phase:
        """At fixed times."""
        phase, began = Phase(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(per_second * seconds)):
                await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
                group.create_task(self._send(phase))
            phase.took = time.perf_counter() - began
        return phase

    async def _send(self, phase: Phase) -> None:
        number = next(self._numbers)
        body = self._body.replace(MARK, b"%08d" % number)
        phase.sent += 1
        self.sent += 1
        began = time.perf_counter()
        try:
            async with self._session.post("/api/public/ingestion", data=body) as answer:
                said: Any = await answer.json()
        except (TimeoutError, aiohttp.ClientError) as error:
            phase.outcomes["given up" if isinstance(error, TimeoutError) else type(error).__name__] += 1
            return
        took = time.perf_counter() - began
        if answer.status == 207 and len(said["successes"]) == EVENTS:
            self.accepted.add(number)
            phase.outcomes["207"] += 1
            phase.accepted.append(took)
            return
        if answer.status == 207:
            self.partly[number] = {each["id"] for each in said["successes"]}
        phase.outcomes["207 in part" if answer.status == 207 else str(answer.status)] += 1
        phase.refused.append(took)


def template() -> bytes:
    """A request of whole traces, with MARK where its number goes."""
    values = [record.value for record in traffic(EVENTS)]
    body = b'{"batch":[' + b",".join(values) + b"]}"
    ids = [re.search(rb'"id":"([0-9a-f]{16})', values[number * EVENTS_PER_TRACE]) for number in range(TRACES)]
    for number, found in enumerate(ids):
        assert found
        body = body.replace(found[1], MARK + b"%08d" % number)
    return body


@dataclass
class Watch:
    """Memory once a second, MiB, and what the front door says that it holds."""

    processes: dict[str, int]
    url: str
    rss: dict[str, list[float]] = field(default_factory=dict)
    held: list[float] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def run(self) -> None:
        """Until `over`."""
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            while not self.over.wait(1.0):
                for name, pid in self.processes.items():
                    self.rss.setdefault(name, []).append(status(pid, "VmRSS"))
                try:
                    found = HELD.search(client.get("/metrics").text)
                except httpx.TransportError:
                    continue  # it has other things to do; the next second asks again
                if found:
                    self.held.append(float(found[1]) / 2**20)

    def told(self) -> str:
        """A line; the slope is that of the second half, by least squares."""
        parts = []
        for name, seen in self.rss.items():
            half = seen[len(seen) // 2 :]
            slope = 60 * statistics.linear_regression(range(len(half)), half).slope
            parts.append(
                f"{name} {seen[0]:.0f} MiB before, {statistics.median(half):.0f} MiB (median of the second half), "
                f"at most {status(self.processes[name], 'VmHWM'):.0f} MiB, {slope:+.0f} MiB a minute"
            )
        return "; ".join(parts) + f"; bodies held at most {max(self.held, default=0):.0f} MiB ({len(self.held)} looks)"


@contextmanager
def watching(processes: dict[str, int], url: str) -> Iterator[Watch]:
    """For as long as the block."""
    watch = Watch(processes, url)
    thread = Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


async def load(url: str, key: NewKey, times: float, seconds: float, memory: Callable[[], Any]) -> Load:
    """The three phases, a line each."""
    timeout, connector = aiohttp.ClientTimeout(total=PATIENCE), aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json", **basic(key.public_key, key.secret_key)}
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout, headers=headers) as session:
        made = Load(session)
        takes = await made.closed(CLOSED_SECONDS)
        print(f"what it takes: {takes}", flush=True)
        per_second = len(takes.accepted) / takes.took
        with memory() as watch:
            print(f"{times:g} times: {await made.open(times * per_second, seconds)}", flush=True)
        print(f"memory: {watch.told()}", flush=True)
        print(f"half, afterwards: {await made.open(per_second / 2, AFTER_SECONDS)}", flush=True)
    return made


async def behind(settings: Settings) -> tuple[int, int]:
    """How many records the events topic was ever given, and how many of them the worker has yet to commit."""
    group = settings.fold_group
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=group, enable_auto_commit=False
    ) as consumer:
        places = [TopicPartition(settings.events_topic, number) for number in range(settings.topic_partitions)]
        consumer.assign(places)
        records = sum((await consumer.end_offsets(places)).values())
        return records, records - sum([await consumer.committed(place) or 0 for place in places])


def check(stack: Stack, made: Load) -> None:
    """Wait for the worker, then compare by ids. Raises AssertionError where something accepted is not there."""
    began = time.monotonic()
    while (found := asyncio.run(behind(stack.settings)))[1]:
        assert time.monotonic() - began < 900, f"the worker does not finish: {found[1]} of {found[0]} are left"
        time.sleep(1)
    print(f"the worker had caught up {time.monotonic() - began:.0f} s later, {found[0]} records in all", flush=True)
    query = "SELECT toUInt32(substring(trace_id, 1, 8)) AS number, uniqExact(event_id), count() FROM {} GROUP BY number"
    archived = {row[0]: row[1:] for row in stack.client.query(query.format("raw_events")).result_rows}
    rows = query.format("observations").replace("event_id", "observation_id")
    folded = {row[0]: row[1:] for row in stack.client.query(rows).result_rows}
    missing = [number for number in made.accepted if archived.get(number, (0,))[0] != EVENTS]
    unfolded = [number for number in made.accepted if folded.get(number) != (TRACES * OBSERVATIONS,) * 2]
    in_part = 0
    for number, ids in made.partly.items():
        own = f"SELECT event_id FROM raw_events WHERE startsWith(trace_id, '{number:08}')"
        in_part += len(ids - {row[0] for row in stack.client.query(own).result_rows})
    others = Counter(
        "in full" if archived[number][0] == EVENTS else "in part" for number in archived if number not in made.accepted
    )
    print(
        f"{len(made.accepted)} requests accepted, {len(made.accepted) * EVENTS} events: {len(missing)} requests and "
        f"{in_part} single events missing in raw_events, {len(unfolded)} requests without all their rows; of "
        f"{made.sent - len(made.accepted)} others {others['in full']} stored in full, {others['in part']} in part",
        flush=True,
    )
    assert not missing
    assert not in_part
    assert not unfolded


def run(stack: Stack, times: float, seconds: float) -> None:
    """One front door and one worker."""
    port = find_free_port()
    settings = stack.settings.model_copy(update={"http_port": port, "grpc_port": -1, "first_rule_sampling": 0})
    registry = open_registry(settings.registry)
    registry.create_project("bench", project_id="bench")
    key = registry.create_key("bench")
    registry.close()
    worker = stack.worker()
    front = WorkerProcess(settings, stack.directory, "ingest", role="ingest")
    try:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(answers(url))
        pids = {"front door": front.process.pid, "worker": worker.process.pid}
        check(stack, asyncio.run(load(url, key, times, seconds, lambda: watching(pids, url))))
        assert (front.process.poll(), worker.process.poll()) == (None, None)
    finally:
        front.kill()


def main(seconds: float = 150.0, times: float = 3.0) -> None:
    """A stack of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        broker_and_store(Path(folder)) as (kafka, store),
        closing(new_stack(kafka, store, Path(folder) / "stack")) as stack,
    ):
        run(stack, times, seconds)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
