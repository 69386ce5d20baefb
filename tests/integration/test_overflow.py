"""The overflow on a real broker: in by the front door, out by a valve, whole and to the homes of the traces."""

import asyncio
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.events import headers
from pipeline.events.partition import partition_of
from pipeline.local.kafka import LocalKafka
from pipeline.ops.topics import TopicError, ensure_topics
from pipeline.ops.topics_grow import Growth, grow_topics
from pipeline.stream.load import Load
from pipeline.stream.moves import Mover
from pipeline.stream.overflow import Overflow
from tests.fixtures.front_door import Front, basic, connected, span, stored

pytestmark = pytest.mark.stack

FLOOD = 300


def of(front: Front, topic: str) -> Settings:
    """Settings by which `stored` reads another topic."""
    changed = front.settings.model_copy()
    changed.__dict__["events_topic"] = topic  # where a cached property keeps its value
    return changed


async def test_what_is_beyond_a_projects_share_waits_and_comes_when_there_is_room(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    async with connected(kafka, topic_prefix, tmp_path, fair_events=10) as front:
        settings = front.settings
        other = front.registry.create_key(front.registry.create_project("Two").id)
        flood = [span(number, trace=f"t{number}") for number in range(FLOOD)]
        assert (await front.send(*flood[:20])).status_code == 207
        neighbour = await front.send(span(1), headers=basic(other.public_key, other.secret_key))
        assert neighbour.status_code == 207
        assert (await front.send(*flood[20:])).json()["errors"] == []
        assert len(await stored(settings)) == 21
        waiting = await stored(of(front, settings.overflow_topic))
        assert len(waiting) == FLOOD - 20
        assert f"spanfold_ingest_overflow_events_total {FLOOD - 20}.0" in (await front.client.get("/metrics")).text

        await let_out(settings, Load(frozenset({0, 1}), 4, 0), moved=0)
        await let_out(settings, Load(frozenset({0, 1}), 4, 7), moved=sum(each.partition < 2 for each in waiting))
        await let_out(settings, Load(frozenset({2, 3}), 4, 999), moved=sum(each.partition > 1 for each in waiting))
        found = await stored(settings)
        assert len(found) == FLOOD + 1
        assert all(each.partition == partition_of(each.key, 4) for each in found)
        back = {(each.key, each.value) for each in found if (headers.MOVED, b"1") in each.headers}
        assert back == {(each.key, each.value) for each in waiting}


async def let_out(settings: Settings, load: Load, moved: int) -> None:
    """Run a valve until it moved so many, and no more; each goes on where the one before it stopped."""
    mover = Mover(settings)
    valve = Overflow(settings, mover, lambda: load)
    running = asyncio.create_task(valve.run())
    async with asyncio.timeout(30):
        while valve.moved < moved or valve.turns < 3:
            assert not running.done(), running.result()
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await mover.stop()
    assert valve.moved == moved


async def test_topics_grow_together_and_never_shrink(kafka: LocalKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, topic_partitions=2)
    with pytest.raises(TopicError, match="There is no topic"):
        await grow_topics(settings, 4)
    await ensure_topics(settings)
    plan = await grow_topics(settings, 4, dry_run=True)
    names = [settings.events_topic, settings.overflow_topic, settings.evaluations_topic]
    assert plan == [Growth(name, 2, 4) for name in names]
    assert await grow_topics(settings, 4) == plan
    again = await grow_topics(settings, 4)
    assert [(each.before, each.after) for each in again] == [(4, 4)] * 3
    with pytest.raises(SettingError, match="has 4 partitions: Kafka cannot take any away"):
        await grow_topics(settings, 3)
