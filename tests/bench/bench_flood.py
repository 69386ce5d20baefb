"""I8: how fresh project B's rows are while project A floods, on the real stack: broker, store, front door, one worker.

Three runs: A keeps to its share; A sends 20 times its share and everything goes straight to the workers; the same with
the overflow. The clock of an event of B starts before its request is sent and stops when a query of the view has found
it. `python -m tests.bench.bench_flood [SHARE] [SECONDS]`; about SECONDS + 20 each.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port, find_free_ports
from pipeline.ops.bench.traffic import EVENTS_PER_TRACE, traffic
from pipeline.registry import NewKey, open_registry
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

FLOOD = 20  # times its share
B_BATCH, A_BATCH = 10, 500
LOOK_EVERY, GIVE_UP = 0.05, 60.0  # seconds


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


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """One of B's."""
    return {"id": f"{body['id']}-{kind}", "type": kind, "timestamp": datetime.now(UTC).isoformat(), "body": body}


def request_of_b(number: int) -> tuple[str, bytes]:
    """A finished trace of ten events; the observation to look for, and the body."""
    trace, now = f"b-{number}", datetime.now(UTC).isoformat()
    times = {"traceId": trace, "startTime": now, "endTime": now}
    spans = [event("span-create", {"id": f"{trace}/{n}", "name": "step", **times}) for n in range(1, B_BATCH)]
    events = [event("trace-create", {"id": trace, "timestamp": now, "name": "b"}), *spans]
    return f"{trace}/{B_BATCH - 1}", json.dumps({"batch": events}).encode()


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


async def look(stack: Stack, pending: dict[str, float], seen: Seen, over: asyncio.Event) -> None:
    """Ask for all that is waited for, again and again."""
    give_up = float("inf")
    while (pending or not over.is_set()) and time.monotonic() < give_up:
        if over.is_set():
            give_up = min(give_up, time.monotonic() + GIVE_UP)
        if pending:
            ids = list(pending)
            query = "SELECT observation_id FROM observations "
            query += "WHERE project_id = 'b' AND observation_id IN {ids:Array(String)}"
            rows = (await asyncio.to_thread(stack.client.query, query, {"ids": ids})).result_rows
            now = time.monotonic()
            seen.fresh += [now - pending.pop(id_) for (id_,) in rows]
        await asyncio.sleep(LOOK_EVERY)
    seen.missing = len(pending)


async def run(stack: Stack, url: str, keys: dict[str, NewKey], rates: dict[str, int], seconds: int) -> Seen:
    """One run."""
    seen, pending, over = Seen(), dict[str, float](), asyncio.Event()
    bodies = [("", body) for body in bodies_of_a(rates["a"] * seconds)]
    auth = {name: httpx.BasicAuth(key.public_key, key.secret_key) for name, key in keys.items()}
    async with (
        httpx.AsyncClient(base_url=url, auth=auth["a"], timeout=60, trust_env=False) as a,
        httpx.AsyncClient(base_url=url, auth=auth["b"], timeout=60, trust_env=False) as b,
    ):
        looking = asyncio.create_task(look(stack, pending, seen, over))
        requests = [request_of_b(number) for number in range(rates["b"] * seconds // B_BATCH)]
        began = time.monotonic()
        flood = asyncio.create_task(paced(a, bodies, rates["a"] / A_BATCH, lambda _: None))
        await paced(b, requests, rates["b"] / B_BATCH, lambda id_: pending.update({id_: time.monotonic()}))
        await flood
        seen.told["sending took, s"] = time.monotonic() - began
        over.set()
        await looking
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
        seen.told["worker's peak, MiB"] = peak_mib(worker)
    finally:
        front.kill()
        worker.stop()
        registry.close()
        stack.close()
    return seen


def peak_mib(worker: WorkerProcess) -> float:
    """The most memory that the process ever held."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def answers(url: str) -> None:
    """Return once the front door does."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(30):
        while True:
            try:
                if (await client.get(f"{url}/api/public/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


def main(share: int = 500, seconds: int = 15) -> None:
    """All three runs; a line each."""
    with tempfile.TemporaryDirectory() as folder:
        kafka, store = (
            LocalKafka(Path(folder) / "kafka", *find_free_ports(2)),
            ClickHouseProcess(Path(folder) / "store"),
        )
        kafka.start()
        store.start()
        try:
            for name, times, fair in (("share", 1, 2_000), ("flood", FLOOD, 0), ("flood, overflow", FLOOD, 2_000)):
                seen = measured(
                    kafka, store, Path(folder) / name, share, times, seconds=seconds, fair_events=fair
                )  # fmt: skip
                told = ", ".join(f"{what} {value:.1f}" for what, value in seen.told.items())
                print(
                    f"{name}: B p50 {seen.percentile(50):.2f} s, p99 {seen.percentile(99):.2f} s, "
                    f"{len(seen.fresh)} seen, {seen.missing} missing; A sent {seen.sent}; {told}",
                    flush=True,
                )
        finally:
            store.stop()
            kafka.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
