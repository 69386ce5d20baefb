"""The overflow on a real broker: in by the front door, out by a valve, whole and to the homes of the traces."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.events.partition import partition_of
from pipeline.local.kafka import LocalKafka
from pipeline.ops.doctor_services import check_topics
from pipeline.ops.topics import TopicError, ensure_topics
from pipeline.ops.topics_grow import Growth, grow_topics
from pipeline.store.insert import Refused
from pipeline.stream.load import Load
from pipeline.stream.moves import Move, Mover, may_move
from pipeline.stream.outbox import Outbox
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

        assert await let_out(settings, Load(frozenset({0, 1, 2, 3}), 4, 0), moved=0) == FLOOD - 20, "that is the lag"
        first = sum(each.partition < 2 for each in waiting)
        assert await let_out(settings, Load(frozenset({0, 1}), 4, 7), moved=first) == 0
        await let_out(settings, Load(frozenset({2, 3}), 4, 999), moved=len(waiting) - first)
        found = await stored(settings)
        assert len(found) == FLOOD + 1
        assert all(each.partition == partition_of(each.key, 4) for each in found)
        back = {(each.key, each.value) for each in found if (headers.MOVED, b"1") in each.headers}
        assert back == {(each.key, each.value) for each in waiting}

        await let_out(forgotten(settings), Load(frozenset({0, 1, 2, 3}), 4, 999), moved=len(waiting))
        again = await stored(settings)
        assert len(again) == FLOOD + 1 + len(waiting), "what was forgotten comes again"
        assert {(each.key, each.value) for each in again} == {(each.key, each.value) for each in found}, "as duplicates"


def forgotten(settings: Settings) -> Settings:
    """A group of which the broker knows no offset any more, as some days after the last commit."""
    changed = settings.model_copy()
    changed.__dict__["overflow_group"] = f"{settings.overflow_group}-forgotten"
    return changed


async def let_out(settings: Settings, load: Load, moved: int) -> int:
    """Run a valve until it moved so many, and no more; each goes on where the last one stopped. What waits then."""
    mover = Mover(settings)
    refused: list[Move] = []

    async def refuse(moves: Sequence[Move]) -> None:
        refused.extend(moves)

    valve = Overflow(settings, mover, lambda: load, refuse)
    running = asyncio.create_task(valve.run())
    async with asyncio.timeout(30):
        while valve.moved < moved or valve.turns < 3:
            assert not running.done(), running.result()
            await asyncio.sleep(0.02)
    await valve.look_up_ends()
    left = sum(lag.records for lag in valve.lags().values())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await mover.stop()
    assert (valve.moved, refused) == (moved, [])
    return left


SMALL = 3_000  # bytes that the overflow takes in this test


async def test_a_record_that_does_not_fit_the_overflow_stays_in_the_events_topic_and_the_topic_is_named(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics(
        [NewTopic(settings.overflow_topic, 4, 1, topic_configs={"max.message.bytes": str(SMALL)})]
    )
    await admin.close()
    [_, overflow, *_] = await ensure_topics(settings)
    assert f"--alter --topic {settings.overflow_topic} --add-config max.message.bytes={16 * 2**20}" in overflow.warning
    finding = await check_topics(settings)
    assert (finding.ok, settings.overflow_topic in finding.found) == (False, True)
    async with connected(kafka, topic_prefix, tmp_path, fair_events=10) as front:
        other = front.registry.create_key(front.registry.create_project("Two").id)
        await front.send(*[span(number, trace=f"t{number}") for number in range(20)])
        await front.send(span(1), headers=basic(other.public_key, other.secret_key))
        large = [span(number, trace=f"l{number}", input=secrets.token_hex(SMALL)) for number in range(3)]
        assert (await front.send(*large)).json()["errors"] == []
        assert (await front.send(span(7, trace="small"))).json()["errors"] == []
        assert len(await stored(front.settings)) == 24
        assert len(await stored(of(front, settings.overflow_topic))) == 1
    await aside(settings)


async def aside(settings: Settings) -> None:
    """A worker puts records aside, before it knows how much the topic takes and after."""
    outbox = Outbox(settings, NoTable())
    topic, over = settings.events_topic, settings.overflow_topic
    small, large = (Record(topic, 2, 0, Micros(1), b"p/x", secrets.token_bytes(size), ()) for size in (10, SMALL))
    await outbox.move([Move(over, 1, small), Move(over, 1, large), Move(over, 1, small)])
    await outbox.mover.learn()
    assert not may_move(large, outbox.mover.most(over))
    assert may_move(large, outbox.mover.most(topic))
    await outbox.mover.stop()
    values = [(record.partition, record.value) for record in await stored(settings)]
    assert values.count((2, large.value)) == 1


class NoTable:
    """Nothing becomes a dead letter here."""

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        raise AssertionError(rows)


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
