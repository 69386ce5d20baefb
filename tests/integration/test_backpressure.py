"""When there is too much: of one project, of one request, or of all that workers have to do."""

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.ingest import lag
from pipeline.local.kafka import LocalKafka
from pipeline.registry import RateLimits
from tests.fixtures.front_door import PROJECT, Front, basic, connected, span, stored

pytestmark = pytest.mark.stack


async def until(front: Front, status: int, within: float = 20) -> None:
    """Send until it is answered so."""
    async with asyncio.timeout(within):
        while (await front.send()).status_code != status:
            await asyncio.sleep(0.05)


async def test_a_project_over_its_limit_is_429_and_another_one_is_served(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    async with connected(kafka, topic_prefix, tmp_path, rate_events=10, rate_burst=1) as front:
        other = front.registry.create_project("Two")
        key = front.registry.create_key(other.id)
        assert (await front.send(*[span(n) for n in range(500)])).status_code == 207  # whole, whatever its size
        refused = await front.send(span(501))
        assert refused.status_code == 429
        assert 40 <= int(refused.headers["retry-after"]) <= 50
        assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == ("10", "0")
        assert abs(int(refused.headers["x-ratelimit-reset"]) - time.time() - 49) < 5
        assert refused.json()["code"] == "rate_limited"
        for route in ("traces", "scores"):
            assert (await front.client.post(f"/api/public/{route}", json={})).status_code == 429
        served = await front.send(span(1), headers=basic(key.public_key, key.secret_key))
        assert served.status_code == 207
        front.registry.set_limits(PROJECT, RateLimits(events=0))
        await until(front, 207)  # within seconds, without a restart
        assert len(await stored(front.settings)) == 501


async def test_a_request_with_too_many_events_is_413_and_nothing_of_it_is_stored(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    async with connected(kafka, topic_prefix, tmp_path, max_batch_events=10) as front:
        assert (await front.send(*[span(n) for n in range(11)])).status_code == 413
        assert (await front.send(*[span(n) for n in range(10)])).status_code == 207
        assert len(await stored(front.settings)) == 10


async def test_while_workers_are_too_far_behind_requests_are_503_and_then_served_again(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.05)
    async with connected(kafka, topic_prefix, tmp_path, max_lag=20) as front:
        assert (await front.send(*[span(n, trace=f"t{n}") for n in range(21)])).status_code == 207
        await until(front, 503)
        refused = await front.send(span(99))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "21 events behind" in refused.json()["message"]
        unready = await front.client.get("/health/ready")
        assert (unready.status_code, "21 events behind" in unready.text) == (503, True)
        assert "spanfold_ingest_lag_events 21.0" in (await front.client.get("/metrics")).text
        assert (await front.client.get("/api/public/projects")).status_code == 200
        await commit_everything(front)
        await until(front, 207)
        assert (await front.client.get("/health/ready")).status_code == 200


async def test_an_overflow_that_is_too_long_takes_no_more_and_those_who_keep_to_their_share_are_served(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.05)
    async with connected(kafka, topic_prefix, tmp_path, max_lag=40, fair_events=10) as front:
        other = front.registry.create_key(front.registry.create_project("Two").id)
        neighbour = basic(other.public_key, other.secret_key)
        assert (await front.send(*[span(n) for n in range(20)])).status_code == 207
        assert (await front.send(span(1), headers=neighbour)).status_code == 207
        assert (await front.send(*[span(n) for n in range(50)])).status_code == 207  # to the overflow
        await until_refused(front)
        refused = await front.send(span(99))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "50 events wait in the overflow, 40 are allowed" in refused.json()["message"]
        assert (await front.send(span(2), headers=neighbour)).status_code == 207
        ready = await front.client.get("/health/ready")
        assert (ready.status_code, "50 events wait" in ready.json()["notes"][0]) == (200, True)
        shown = (await front.client.get("/metrics")).text
        assert "spanfold_ingest_overflow_lag_events 50.0" in shown
        assert "spanfold_ingest_lag_events 50.0" not in shown


async def until_refused(front: Front) -> None:
    """Wait until the front door knows how much waits in the overflow."""
    async with asyncio.timeout(20):
        while "notes" not in (await front.client.get("/health/ready")).json():
            await asyncio.sleep(0.05)


async def commit_everything(front: Front) -> None:
    """What workers that have caught up would commit."""
    settings = front.settings
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.fold_group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [TopicPartition(settings.events_topic, number) for number in range(settings.topic_partitions)]
        consumer.assign(places)
        await consumer.commit(await consumer.end_offsets(places))
    finally:
        await consumer.stop()
