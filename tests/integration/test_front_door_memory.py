"""The front door keeps nothing of requests that are over, answered or given up: its memory cannot grow by them."""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from pipeline.ingest.kafka_link import KafkaLink, Outcome
from pipeline.ingest.lanes import Outgoing
from pipeline.ingest.produce import EventProducer
from tests.fixtures.front_door import Front, basic, batch, running, span

REQUESTS = 60  # in a round
WARM, ROUNDS = 3, 3
PATIENCE = 0.05  # seconds that half of the clients have


async def slowly(_: EventProducer, records: Sequence[Outgoing], *, overflow: bool = False) -> list[Outcome]:
    """Kafka takes its time."""
    await asyncio.sleep(2 * PATIENCE)
    return [Outcome.STORED] * len(records)


async def crowd(front: Front) -> set[int]:
    """Clients come all at once, half of them go before they are answered, and then all are gone."""
    headers, body = basic(front.key.public_key, front.key.secret_key), batch(*(span(n, f"t{n}") for n in range(10)))

    async def one(client: httpx.AsyncClient, patience: float) -> int:
        try:
            return (await client.post("/api/public/ingestion", content=body, timeout=patience)).status_code
        except httpx.TimeoutException:
            return 0

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=front.client.base_url, headers=headers, trust_env=False, limits=limits
    ) as client:
        answers = await asyncio.gather(*(one(client, 30 if n % 2 else PATIENCE) for n in range(REQUESTS)))
    return set(answers)


async def never(_: KafkaLink) -> None:
    """No Kafka, and nothing that is logged about it."""
    await asyncio.Event().wait()


def living() -> int:
    """Objects that are not garbage."""
    gc.collect()
    return len(gc.get_objects())


async def test_nothing_of_a_crowd_of_requests_lives_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventProducer, "send", slowly)
    monkeypatch.setattr(KafkaLink, "run", never)
    async with running(tmp_path) as front:
        for _ in range(WARM):
            assert await crowd(front) == {0, 207}
        before = living()
        for _ in range(ROUNDS):
            assert await crowd(front) == {0, 207}
        async with asyncio.timeout(20):  # until what was still closing has closed
            while living() > before + REQUESTS // 3:
                await asyncio.sleep(PATIENCE)
