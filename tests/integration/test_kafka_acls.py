"""Every role and command as a user that may do what the table of rights says, on a broker that refuses all else.

SPANFOLD_TEST_WITHOUT_RIGHT=N leaves the N-th row of the table out; then one of these tests must fail.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config import Settings
from pipeline.local.ports import find_free_port
from pipeline.metrics import Metric
from pipeline.ops.dlq.letters import Content, Letter
from pipeline.ops.dlq.replay import KafkaSender, replayable
from pipeline.ops.doctor_services import check_topics
from pipeline.ops.durability import check_durability
from pipeline.ops.kafka_rights import ALL_GROUPS, EVALUATOR, INGEST, OPERATOR, RIGHTS, WORKER, acls
from pipeline.ops.lag import read_lag
from pipeline.ops.ledger.log import open_log
from pipeline.ops.topics import ensure_topics
from pipeline.ops.topics_grow import grow_topics
from tests.fixtures.acls import Refusals, as_user, grant, login
from tests.fixtures.front_door import PROJECT, Front, basic, healthy, running, span
from tests.fixtures.kafka import PASSWORD, SecuredKafka
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

LEFT_OUT = os.environ.get("SPANFOLD_TEST_WITHOUT_RIGHT", "")
GIVEN = tuple(right for number, right in enumerate(RIGHTS) if str(number) != LEFT_OUT)
SECONDS = 60.0


async def test_front_door_worker_and_evaluator_need_no_other_rights(
    kafka: SecuredKafka, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that they ever do in Kafka is done: floods, old events, moves, dead letters, scores, copies, the ledger."""
    settings = stack.settings
    await grant(kafka, acls(settings, GIVEN))
    refusals = Refusals(kafka.logs / "kafka.log")
    await leave_broken_records_and_a_hole(settings)
    given = {"topic_prefix": settings.topic_prefix, "fair_events": 1, "max_lag": 10_000}
    async with running(settings.data_dir, **given, **login(kafka, INGEST)) as front:
        await healthy(front)
        front.registry.add_rule(PROJECT, "quick", "latency_above", parameters={"limit_ms": 1}, sampling_rate=1.0)
        await send_more_than_a_share(front)
        async with asyncio.timeout(SECONDS):
            while f"{Metric.INGEST_LAG} 0.0" in (await front.client.get("/metrics")).text:
                refusals.none()
                await asyncio.sleep(0.1)
    refusals.none()
    monkeypatch.setenv("SPANFOLD_KAFKA_PASSWORD", PASSWORD)
    await asyncio.to_thread(run_the_others, kafka, stack, refusals)


def run_the_others(kafka: SecuredKafka, stack: Stack, refusals: Refusals) -> None:
    quick = {"settle_quiet": 0.1, "settle_idle": 0.3, "fresh_first": 0.001, "watch_interval": 0.5}
    port = find_free_port()
    stack.worker(**quick, **login(kafka, WORKER))
    stack.worker("evaluate", role="evaluate", metrics_port=port, **quick, **login(kafka, EVALUATOR))

    def count(sql: str) -> int:
        return stack.count(f"SELECT count() FROM {sql}")

    until(refusals, lambda: count(f"observations WHERE project_id = '{PROJECT}'") == 3)
    until(refusals, lambda: count("scores WHERE name = 'quick'") > 0)
    until(refusals, lambda: count("dead_letters WHERE stage != 'evaluate'") >= 1)
    until(refusals, lambda: count("dead_letters WHERE stage = 'evaluate'") >= 1)
    until(refusals, lambda: count("edge_counts") > 0)
    everything_is_there = time.time()
    until(refusals, lambda: last_look(port) > everything_is_there)


async def leave_broken_records_and_a_hole(settings: Settings) -> None:
    """A dead letter for the worker and one for the evaluator; the end of a transaction, which takes an offset."""
    topic = settings.events_topic
    transactional = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, transactional_id=settings.topic_prefix)
    async with transactional, transactional.transaction():
        await transactional.send_and_wait(topic, b"{", key=b"p/t", partition=0)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap) as producer:
        await producer.send_and_wait(topic, b"{", key=b"p/t", partition=0)
        await producer.send_and_wait(settings.evaluations_topic, b"{", key=b"p/t")


async def send_more_than_a_share(front: Front) -> None:
    other = front.registry.create_key(front.registry.create_project("Two").id)
    for number in range(3):
        neighbour = await front.send(span(number), headers=basic(other.public_key, other.secret_key))
        answer = await front.send(span(number, trace=f"t{number}", endTime="2026-11-23T08:58:23Z"))
        assert (neighbour.status_code, answer.status_code) == (207, 207)
        assert answer.json()["errors"] == []
    assert f"{Metric.INGEST_OVERFLOW} 0.0" not in (await front.client.get("/metrics")).text


def until(refusals: Refusals, done: Callable[[], bool]) -> None:
    """Wait for the condition; fail as soon as the broker refuses something."""
    deadline = time.monotonic() + SECONDS
    while not done():
        refusals.none()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    refusals.none()


def last_look(port: int) -> float:
    families = text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    return next(s.value for family in families for s in family.samples if s.name == Metric.WATCH_LAST)


async def test_commands_need_no_other_rights(kafka: SecuredKafka, topic_prefix: str, tmp_path: Path) -> None:
    everybody = Settings(data_dir=tmp_path, topic_prefix=topic_prefix, kafka_bootstrap=kafka.bootstrap)
    await grant(kafka, acls(everybody, GIVEN))
    refusals = Refusals(kafka.logs / "kafka.log")
    settings = as_user(kafka, everybody, OPERATOR)
    assert all(state.created for state in await ensure_topics(settings))
    assert (await check_topics(settings)).ok
    assert (await check_durability(settings)).ok
    assert {growth.after for growth in await grow_topics(settings, 5)} == {5}
    letter = Letter(**dict.fromkeys(Letter.__annotations__, 0))
    async with KafkaSender(settings) as sender:
        for topic in sorted(replayable(settings)):
            assert await sender.send(topic, letter._replace(id="id"), Content(b"p/t", b"{}", ()))
    await commit_in_every_group(everybody)
    assert {row.group for row in await read_lag(settings)} == {f"{topic_prefix}-{name}" for name in ALL_GROUPS}
    async with open_log(settings) as log:
        ends = {number: bounds.end for number, bounds in (await log.bounds()).items()}
        number = next(number for number, end in ends.items() if end)
        assert [record.value async for record in log.records(number, 0, 0)] == [b"{}"]
    refusals.none()


async def commit_in_every_group(settings: Settings) -> None:
    for name in ALL_GROUPS:
        place = TopicPartition(settings.events_topic, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap, group_id=f"{settings.topic_prefix}-{name}"
        )
        async with consumer:
            consumer.assign([place])
            await consumer.commit({place: 0})
