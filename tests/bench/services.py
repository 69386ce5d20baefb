"""What measurements share: a broker and a store in a folder of their own, and how processes do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_ports
from tests.fixtures.clickhouse import ClickHouseProcess


@contextmanager
def broker_and_store(folder: Path) -> Iterator[tuple[LocalKafka, ClickHouseProcess]]:
    """Both started; stopped at the end, whatever happens."""
    kafka = LocalKafka(folder / "kafka", *find_free_ports(2))
    store = ClickHouseProcess(folder / "store")
    kafka.start()
    try:
        store.start()
        try:
            yield kafka, store
        finally:
            store.stop()
    finally:
        kafka.stop()


async def answers(url: str) -> None:
    """Return once the front door does."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(30):
        while True:
            try:
                if (await client.get(f"{url}/api/public/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


def status(pid: int, name: str) -> float:
    """MiB of a process, as Linux tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def peak_mib(pid: int) -> float:
    """The most memory that a process ever held."""
    return status(pid, "VmHWM")
