"""Whom a group names under a static membership: on a real broker, with real members."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.ops.topics import ensure_topics
from pipeline.stream.twin import others, own_client_id

pytestmark = pytest.mark.stack


@asynccontextmanager
async def member(settings: Settings, group: str, instance_id: str, client_id: str) -> AsyncIterator[None]:
    """Until the end of the block; a static membership outlasts it."""
    consumer = AIOKafkaConsumer(
        settings.events_topic, bootstrap_servers=settings.kafka_bootstrap, group_id=group,
        group_instance_id=instance_id, client_id=client_id, session_timeout_ms=30_000,
    )  # fmt: skip
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
        yield
    finally:
        await consumer.stop()


async def test_the_group_tells_a_twin_from_oneself_and_from_nobody(kafka: LocalKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    group, mine, theirs = f"{topic_prefix}-{secrets.token_hex(4)}", own_client_id(), own_client_id()
    assert mine != theirs
    assert await others(settings, group, "worker-1", mine) == set()  # nobody has it, as after a cut
    async with member(settings, group, "worker-1", mine):
        assert await others(settings, group, "worker-1", mine) == set()
        assert await others(settings, group, "worker", theirs) == set()  # another id, which begins alike
        assert await others(settings, group, "worker-1", theirs) == {"127.0.0.1"}
    async with member(settings, group, "worker-1", theirs):  # it takes the membership over: one of the two is told
        assert await others(settings, group, "worker-1", mine) == set()
        assert await others(settings, group, "worker-1", theirs) == {"127.0.0.1"}


async def test_a_group_that_cannot_be_asked_names_nobody() -> None:
    nowhere = Settings(kafka_bootstrap="127.0.0.1:1")
    assert await others(nowhere, "group", "worker-1", "me") == set()
