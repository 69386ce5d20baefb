"""A long run at 70 % of what the machine can do: memory, handles, parts in ClickHouse and lag, minute by minute.

A stack of its own with two workers and an evaluator. First the load is whatever workers keep up with, for half a
minute; then 70 % of that until the end. The figures that matter are the slopes: all of them must be flat, or saw teeth.
`SPANFOLD_SOAK_MINUTES=30 python -m tests.bench.soak`, 8 minutes by default; `SPANFOLD_SOAK_RATE=5000` takes that many
events a second instead. It asserts nothing; `make chaos ARGS=--page-only` puts its table into docs/reliability.md.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from pipeline.ops.bench.traffic import PROJECT, Outgoing, traffic
from pipeline.ops.kafka_admin import BrokerUnreachableError
from pipeline.registry import open_registry
from tests.faults.chaos.bed import WORKERS, Bed, running_bed
from tests.faults.chaos.report import SOAKED, described, machine

SHARE = 0.7
CALIBRATE = 30.0  # seconds
ENDLESS = 2**40  # events
OPEN_TRACES = 1_000
TICK = 0.1  # seconds
ROWS = 15  # of the table, about
IN_FLIGHT = 20_000  # records that may wait to be stored while the limit is looked for
WATCHED = (*WORKERS, "ingest", "evaluator", "broker", "store")
MiB = 2**20


class Look(NamedTuple):
    """The state of the stack at a moment."""

    minute: float
    sent: int
    lag: int  # records that no worker has committed
    parts: int  # active parts of all tables
    memory: dict[str, float]  # process -> MiB resident
    handles: dict[str, int]  # process -> open files and sockets


def look(bed: Bed, began: float, sent: int) -> Look:
    """Look at everything."""
    pids = {name: bed.kept[name].pid for name in WATCHED}
    database = bed.settings.clickhouse_database
    parts = bed.stack.count(f"SELECT count() FROM system.parts WHERE active AND database = '{database}'")
    lag = -1
    with suppress(BrokerUnreachableError):  # a minute without an answer is told as -1
        lag = bed.lag()
    memory = {name: _resident(pid) for name, pid in pids.items() if pid is not None}
    handles = {name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in pids.items() if pid is not None}
    return Look((time.monotonic() - began) / 60, sent, lag, parts, memory, handles)


def table(looks: Sequence[Look]) -> list[str]:
    """Some of what was seen, and the slopes of the second half, of all."""
    names = ["minute", "sent", "lag", "parts", *(f"{name} MiB/handles" for name in WATCHED)]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for each in looks[:: max(len(looks) // ROWS, 1)]:
        cells = [f"{each.memory.get(name, 0):.0f}/{each.handles.get(name, 0)}" for name in WATCHED]
        lines.append(f"| {each.minute:.1f} | {each.sent:,} | {each.lag:,} | {each.parts} | " + " | ".join(cells) + " |")
    half = looks[len(looks) // 2 :]
    lines.append("")
    for name in WATCHED:
        memory = _slope([(each.minute, each.memory.get(name, 0)) for each in half])
        handles = _slope([(each.minute, float(each.handles.get(name, 0))) for each in half])
        lines.append(f"- {name}: {memory:+.2f} MiB and {handles:+.2f} handles a minute in the second half")
    return lines


async def soak(bed: Bed, minutes: float, rate: int) -> list[Look]:
    """Send and look."""
    records = traffic(ENDLESS, OPEN_TRACES)
    producer = AIOKafkaProducer(bootstrap_servers=bed.settings.kafka_bootstrap, acks="all", linger_ms=20)
    async with producer:
        if not rate:
            rate = int(SHARE * await _most(bed, producer, records))
        print(f"{rate:,} events a second, {SHARE:.0%} of what was kept up with", file=sys.stderr, flush=True)
        looks: list[Look] = []
        sent, began = 0, time.monotonic()
        while (passed := time.monotonic() - began) < minutes * 60:
            if passed >= 30 * len(looks):
                looks.append(await asyncio.to_thread(look, bed, began, sent))
                print(looks[-1], file=sys.stderr, flush=True)
            due = int((time.monotonic() - began) * rate) - sent
            await _send(bed, producer, itertools.islice(records, max(due, 0)))
            sent += max(due, 0)
            await asyncio.sleep(TICK)
        return [*looks, await asyncio.to_thread(look, bed, began, sent)]


async def _most(bed: Bed, producer: AIOKafkaProducer, records: Iterator[Outgoing]) -> float:
    """Events a second that are stored when as many are sent as can be, with little waiting."""
    began, sent, stored = time.monotonic(), 0, 0
    while time.monotonic() - began < CALIBRATE:
        stored = await asyncio.to_thread(bed.stack.count, "SELECT sum(records) FROM offset_ranges")
        due = max(IN_FLIGHT - (sent - stored), 0)
        await _send(bed, producer, itertools.islice(records, due))
        sent += due
        await asyncio.sleep(TICK)
    return stored / (time.monotonic() - began)


async def _send(bed: Bed, producer: AIOKafkaProducer, records: Iterator[Outgoing]) -> None:
    topic = bed.settings.events_topic
    sends = [await producer.send(topic, each.value, key=each.key, headers=list(each.headers)) for each in records]
    await asyncio.gather(*sends)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MiB


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: how much y grows while x grows by one."""
    if len(points) < 2:
        return 0.0
    x = sum(at for at, _ in points) / len(points)
    spread = sum((at - x) ** 2 for at, _ in points)
    return sum((at - x) * value for at, value in points) / spread


def main() -> None:
    """Run it and print the table."""
    minutes, rate = float(os.environ.get("SPANFOLD_SOAK_MINUTES", "8")), int(os.environ.get("SPANFOLD_SOAK_RATE", "0"))
    with tempfile.TemporaryDirectory(prefix="spanfold-soak-") as folder, running_bed(Path(folder)) as bed:
        registry = open_registry(bed.settings.registry)
        registry.create_project("Soak", project_id=PROJECT)
        registry.add_rule(PROJECT, "has_output", "output_empty", sampling_rate=0.1)
        registry.close()
        bed.up(*WORKERS, "ingest", "evaluator")
        looks = asyncio.run(soak(bed, minutes, rate))
        lines = [f"{described(machine(bed))}. {time.strftime('%Y-%m-%d %H:%M', time.gmtime())}.", "", *table(looks)]
    SOAKED.parent.mkdir(exist_ok=True)
    SOAKED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
