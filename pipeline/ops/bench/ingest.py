"""`spanfold bench --ingest`: 1 a broker and a front door of its own, 2 floods of each sort, 3 a steady half load.

The front door counts its own CPU time (user and system, all threads), so that clients and broker on the same cores do
not enter the figure; latency is as clients see it, and everything on the machine enters that one. Rate limits are off.
Fails with BenchError or RoleFailedError, each with the log to read.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import LOOPBACK, find_free_ports
from pipeline.local.roles import broker_role, ingest_role
from pipeline.local.stack import load_settings
from pipeline.local.supervise import RestartLimit, Supervisor
from pipeline.ops.bench.ingest_load import Clients, Sent, Sort, sorts
from pipeline.ops.bench.machine import describe_machine
from pipeline.ops.topics import ensure_topics

GOAL_EVENTS = 20_000  # per second and core, in batches of 512
GOAL_P99 = 0.05  # seconds, at half of what it can take
_SMALL_REQUESTS = 2_000  # at the most, of sorts that hold few events
_PACED_SECONDS = 5.0
_PUBLIC, _SECRET = "pk-lf-bench", "sk-lf-bench"


@dataclass(frozen=True, slots=True)
class Route:
    """One sort of request, measured: CPU in µs per event over all runs, events per second as clients saw it."""

    sort: Sort
    cpu: list[float]
    events_per_second: float


@dataclass(frozen=True, slots=True)
class IngestMeasured:
    """All figures; `paced` is the half load of large batches at `pace` events per second."""

    routes: list[Route]
    paced: Sent
    pace: float
    peak_bytes: float

    def as_json(self) -> dict[str, Any]:
        """Names are a promise: add, do not rename."""
        routes = {
            route.sort.name: {
                "cpu_us_per_event": round(median(route.cpu), 2),
                "cpu_us_per_event_min": round(min(route.cpu), 2),
                "cpu_us_per_event_max": round(max(route.cpu), 2),
                "events_per_cpu_second": round(1e6 / median(route.cpu)),
                "events_per_second": round(route.events_per_second),
            }
            for route in self.routes
        }
        latency = {f"p{round(100 * share)}_ms": round(1e3 * self.paced.percentile(share), 1) for share in (0.5, 0.99)}
        return {
            "ingest": routes,
            "half_load": {"events_per_second": round(self.pace), "requests": self.paced.requests, **latency},
            "memory_mib": round(self.peak_bytes / 2**20),
            "machine": describe_machine(),
        }


def run_ingest_bench(events: int, runs: int, *, keep: bool, as_json: bool) -> None:
    """Measure and print: `events` of each sort and run, at least one request. Raises SpanfoldError."""
    folder = Path(tempfile.mkdtemp(prefix="spanfold-bench-"))
    try:
        measured = asyncio.run(_measure(folder, events, runs))
    finally:
        if keep:
            print(f"spanfold: logs and data are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print(json.dumps(measured.as_json()))
    else:
        _print_tables(measured)


async def _measure(folder: Path, events: int, runs: int) -> IngestMeasured:
    async with _front_door(folder) as clients:
        routes = [await _route(clients, sort, events, runs) for sort in sorts()]
        large = routes[0]
        pace = large.events_per_second / 2
        per_second = pace / large.sort.events
        requests = max(5, min(int(per_second * _PACED_SECONDS), events // 100))
        paced = await clients.pace(large.sort, requests, per_second)
        peak = (await clients.metrics())["process_resident_memory_bytes"]
    return IngestMeasured(routes, paced, pace, peak)


async def _route(clients: Clients, sort: Sort, events: int, runs: int) -> Route:
    requests = max(1, min(events // sort.events, _SMALL_REQUESTS))
    await clients.flood(sort, len(sort.bodies))  # connections, caches, the topic's metadata
    cpu, rates = [], []
    for _ in range(runs):
        before = await _cpu(clients)
        sent = await clients.flood(sort, requests)
        cpu.append(1e6 * (await _cpu(clients) - before) / (requests * sort.events))
        rates.append(requests * sort.events / sent.elapsed)
    return Route(sort, cpu, median(rates))


async def _cpu(clients: Clients) -> float:
    return (await clients.metrics())["process_cpu_seconds_total"]


@asynccontextmanager
async def _front_door(folder: Path) -> AsyncIterator[Clients]:
    """A broker with an events topic and one front door, for as long as the block."""
    kafka, controller, http = find_free_ports(3)
    broker = LocalKafka(folder / "kafka", kafka, controller, logs=folder / "logs")
    await asyncio.to_thread(broker.prepare)
    fields = {
        "data_dir": str(folder / "data"),
        "registry_url": f"sqlite:///{folder / 'registry.sqlite'}",
        "kafka_bootstrap": broker.bootstrap,
        "topic_prefix": "bench",
        "http_host": LOOPBACK,
        "http_port": str(http),
        "init_project_id": "bench",
        "init_project_public_key": _PUBLIC,
        "init_project_secret_key": _SECRET,
        **dict.fromkeys(("rate_requests", "rate_events", "rate_bytes", "max_lag"), "0"),
    }
    supervisor = Supervisor(folder / "logs", limit=RestartLimit(count=1))
    clients = None
    try:
        await supervisor.start(broker_role(broker))
        await ensure_topics(load_settings(**fields))
        await supervisor.start(ingest_role(fields))
        clients = Clients(f"http://{LOOPBACK}:{http}", _PUBLIC, _SECRET)
        yield clients
    finally:
        if clients:
            await clients.close()
        await supervisor.stop()


def _print_tables(measured: IngestMeasured) -> None:
    said = measured.as_json()
    table = Table(title="CPU of one front door, µs per event", title_justify="left")
    for name in ("Request", "µs", "min", "max", "events/s and core", "events/s seen"):
        table.add_column(name, justify="left" if name == "Request" else "right")
    for name, row in said["ingest"].items():
        table.add_row(
            name,
            *(f"{row[f'cpu_us_per_event{end}']:.1f}" for end in ("", "_min", "_max")),
            f"{row['events_per_cpu_second']:,}",
            f"{row['events_per_second']:,}",
        )
    console = Console()
    console.print(table)
    half, machine = said["half_load"], said["machine"]
    console.print(
        f"batches of 512 at {half['events_per_second']:,} events/s: p50 {half['p50_ms']} ms, p99 {half['p99_ms']} ms; "
        f"the goals are {GOAL_EVENTS:,} events per second and core and a p99 of {GOAL_P99 * 1e3:g} ms\n"
        f"{said['memory_mib']} MiB of memory at the end; {machine['processor']}, {machine['cores']} cores, "
        f"Python {machine['python']}, load {machine['load']}",
        highlight=False,
    )
