"""I8: how fresh project B's rows are while project A floods, on the real stack: broker, store, front door, one worker.

Three runs: A keeps to its share; A sends 20 times its share and everything goes straight to the workers; the same with
the overflow. The clock of an event of B starts before its request is sent and stops when a query of the view has found
it. `python -m tests.bench.bench_flood [SHARE] [SECONDS]`; about SECONDS + 20 each.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.bench.traffic import EVENTS_PER_TRACE, traffic
from pipeline.registry import NewKey, open_registry
from tests.bench.freshness import BATCH, Sightings, watched_request
from tests.bench.services import answers, broker_and_store, peak_mib
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

FLOOD = 20  # times its share
A_BATCH = 500
GIVE_UP = 60.0  # seconds


@dataclass
class Seen:
    """Seconds until B's events were visible, and what became of A's."""

    fresh: list[float] = field(default_factory=list)
    missing: int = 0
    sent: int = 0
    told: dict[str, float] = field(default_factory=dict)

    def percentile(self, percent: int) -> float:
        """Of B's events."""
        return statistics.quantiles(self.fresh, n=100)[percent - 1]


def bodies_of_a(events: int) -> Iterator[bytes]:
    """Requests of A_BATCH events each."""
    values = [record.value for record in traffic(events, open_traces=200)]
    for at in range(0, len(values), A_BATCH):
        yield b'{"batch":[' + b",".join(values[at : at + A_BATCH]) + b"]}"


async def paced(client: httpx.AsyncClient, bodies: list[tuple[str, bytes]], per_second: float, sent: Any) -> None:
    """Requests at fixed times, however long the answers take."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(id_: str, body: bytes) -> None:
        sent(id_)
        answer = await client.post("/api/public/ingestion", content=body)
        assert answer.status_code == 207, answer.text[:300]

    async with asyncio.TaskGroup() as group:
        for number, (id_, body) in enumerate(bodies):
            await asyncio.sleep(began + number / per_second - loop.time())
            group.create_task(one(id_, body))


async def run(stack: Stack, url: str, keys: dict[str, NewKey], rates: dict[str, int], seconds: int) -> Seen:
    """One run."""
    seen, sights = Seen(), Sightings(stack.client)
    bodies = [("", body) for body in bodies_of_a(rates["a"] * seconds)]
    auth = {name: httpx.BasicAuth(key.public_key, key.secret_key) for name, key in keys.items()}
    async with (
        httpx.AsyncClient(base_url=url, auth=auth["a"], timeout=60, trust_env=False) as a,
        httpx.AsyncClient(base_url=url, auth=auth["b"], timeout=60, trust_env=False) as b,
    ):
        looking = asyncio.create_task(sights.look(GIVE_UP))
        requests = [watched_request(number) for number in range(rates["b"] * seconds // BATCH)]
        began = time.monotonic()
        flood = asyncio.create_task(paced(a, bodies, rates["a"] / A_BATCH, lambda _: None))
        await paced(b, requests, rates["b"] / BATCH, sights.sent)
        await flood
        seen.told["sending took, s"] = time.monotonic() - began
        sights.over.set()
        await looking
        seen.fresh, seen.missing = sights.seconds, len(sights.pending)
        metrics = (await a.get("/metrics")).text
        overflow = [line for line in metrics.splitlines() if line.startswith("spanfold_ingest_overflow_events_total ")]
        seen.told["overflowed"] = float(overflow[0].split()[1])
        seen.sent = len(bodies) * A_BATCH
        wanted = rates["a"] * seconds // EVENTS_PER_TRACE
        while stack.count("SELECT uniqExact(trace_id) FROM raw_events WHERE project_id = 'a'") < wanted:
            assert time.monotonic() - began < 10 * seconds + 120
            await asyncio.sleep(0.5)
        seen.told["all of A stored after, s"] = time.monotonic() - began
    return seen


def measured(kafka: LocalKafka, store: ClickHouseProcess, folder: Path, share: int, times: int, **given: Any) -> Seen:
    """A stack of its own for one run."""
    seconds = given.pop("seconds")
    stack = new_stack(kafka, store, folder)
    port = find_free_port()
    settings = stack.settings.model_copy(update={"http_port": port, "grpc_port": -1, "first_rule_sampling": 0, **given})
    registry = open_registry(settings.registry)
    for name in ("a", "b"):
        registry.create_project(name, project_id=name)
    keys = {name: registry.create_key(name) for name in ("a", "b")}
    worker = stack.worker()
    front = WorkerProcess(settings, folder, "ingest", role="ingest")
    try:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(answers(url))
        seen = asyncio.run(run(stack, url, keys, {"a": share * times, "b": share}, seconds))
        seen.told["worker's peak, MiB"] = peak_mib(worker.process.pid)
    finally:
        front.kill()
        worker.stop()
        registry.close()
        stack.close()
    return seen


def main(share: int = 500, seconds: int = 15) -> None:
    """All three runs; a line each."""
    with tempfile.TemporaryDirectory() as folder, broker_and_store(Path(folder)) as (kafka, store):
        for name, times, fair in (("share", 1, 2_000), ("flood", FLOOD, 0), ("flood, overflow", FLOOD, 2_000)):
            seen = measured(kafka, store, Path(folder) / name, share, times, seconds=seconds, fair_events=fair)
            told = ", ".join(f"{what} {value:.1f}" for what, value in seen.told.items())
            print(
                f"{name}: B p50 {seen.percentile(50):.2f} s, p99 {seen.percentile(99):.2f} s, "
                f"{len(seen.fresh)} seen, {seen.missing} missing; A sent {seen.sent}; {told}",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
