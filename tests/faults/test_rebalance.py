"""Partitions and records move under load: workers come and go, the topic grows, old events step aside. Rows stay."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.config import Settings
from pipeline.events.partition import partition_of
from pipeline.local.kafka import LocalKafka
from pipeline.ops.lag import read_lag
from pipeline.ops.topics_grow import grow_topics
from pipeline.store.insert import Inserter
from pipeline.store.retention import FOREVER
from pipeline.store.rows import EdgeCountRow
from pipeline.stream.outcomes import MINUTE
from tests.faults.chaos.account import ledger
from tests.fixtures.captures import PROJECT, Outgoing, produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, stored_ranges, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

pytestmark = pytest.mark.stack

RECORDS = list(create_update_traffic(5_100))
BEFORE, AFTER = 4, 7  # partitions
QUIET = 0.5  # seconds after which a trace settles
SECONDS = 60.0

Digest = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def undisturbed(
    kafka: LocalKafka, clickhouse: ClickHouseProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Digest]:
    """What one worker makes of the records."""
    stack = new_stack(kafka, clickhouse, tmp_path_factory.mktemp("undisturbed") / "stack")
    produce(stack.settings, RECORDS)
    stack.worker(settle_quiet=QUIET)
    wait_until_stored(stack, len(RECORDS))
    wait_until_settled(stack)
    yield digest(stack)
    stack.close()


def test_a_topic_that_grows_under_two_workers_changes_nothing(stack: Stack, undisturbed: Digest) -> None:
    """Keys change their homes while half of the producers do not know; the rows are right without any audit."""
    parts = [RECORDS[start::3] for start in range(3)]  # each trace is in all of them
    first = stack.worker("first", metadata_age=0.5, settle_quiet=QUIET)
    asyncio.run(send(stack.settings, parts[0], BEFORE))
    second = stack.worker("second", metadata_age=0.5, settle_quiet=QUIET)
    asyncio.run(send(stack.settings, parts[1], BEFORE))
    plan = asyncio.run(grow_topics(stack.settings, AFTER))  # much of this is not folded yet
    assert {(each.before, each.after) for each in plan} == {(BEFORE, AFTER)}
    stale, fresh = parts[2][::2], parts[2][1::2]
    wait_for_log([first, second], f"topic={stack.settings.events_topic} partition={AFTER - 1} known=")
    asyncio.run(send(stack.settings, stale, BEFORE))
    asyncio.run(send(stack.settings, fresh, AFTER))
    wait_until_all_is_committed(stack, AFTER)
    wait_until_settled(stack)

    assert digest(stack) == undisturbed
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(RECORDS)
    moved = sum(last - first + 1 for first, last in stored_ranges(stack).values()) - len(RECORDS)
    keys = [each.key or b"" for each in stale]
    assert moved >= sum(partition_of(key, BEFORE) != partition_of(key, AFTER) for key in keys) > 0
    assert stack.count(f"SELECT uniqExact(partition) FROM raw_events WHERE partition >= {BEFORE}") == AFTER - BEFORE


def test_of_two_workers_with_one_instance_id_one_ends_and_says_why(stack: Stack, undisturbed: Digest) -> None:
    half = len(RECORDS) // 2
    produce(stack.settings, RECORDS[:half])
    twins = [stack.worker(name, instance_id="the-same", settle_quiet=QUIET) for name in ("one", "other")]
    produce(stack.settings, RECORDS[half:])
    deadline = time.monotonic() + SECONDS
    while all(twin.process.poll() is None for twin in twins):
        assert time.monotonic() < deadline, "both go on, in turns"
        time.sleep(0.05)
    [loser] = [twin for twin in twins if twin.process.poll() is not None]
    assert loser.process.returncode == 2
    assert "Another worker has the same SPANFOLD_INSTANCE_ID, 'the-same'" in loser.log.read_text()
    wait_until_stored(stack, len(RECORDS))
    wait_until_settled(stack)
    assert digest(stack) == undisturbed


def test_old_events_step_aside_for_fresh_ones_and_come_back(stack: Stack, undisturbed: Digest) -> None:
    settings, half = stack.settings, len(RECORDS) // 2
    produce(settings, RECORDS[:half])  # older than half a second when a worker is there
    worker = stack.worker(fresh_first=0.5, poll_records=100, settle_quiet=QUIET)
    produce(settings, RECORDS[half:])
    wait_until_all_is_committed(stack, BEFORE, settings.events_topic, settings.overflow_topic)
    wait_until_settled(stack)
    assert digest(stack) == undisturbed
    moved = sum(last - first + 1 for first, last in stored_ranges(stack).values()) - len(RECORDS)
    assert moved >= half - 100 * BEFORE, "of each partition one chunk may hold fresh records, too"
    assert stack.count("SELECT sum(new) FROM offset_ranges") == len(RECORDS)

    start = datetime.fromtimestamp(time.time() - 600, UTC).isoformat()
    assert list(ledger(settings, start)) == []  # accepted once, stored once, though most were in three places
    assert worker.stop() == 0
    place, offset = asyncio.run(lose_in_the_overflow(stack, RECORDS[0]))
    [found] = [line for line in ledger(settings, start) if "accounted for" not in line]
    assert found == (
        f"ledger: lost_moving, 1 records, {settings.overflow_topic} partition {place} offsets {offset} to {offset}"
    )


async def lose_in_the_overflow(stack: Stack, like: Outgoing) -> tuple[int, int]:
    """As if a worker had committed a record that it never sent on: its partition and offset."""
    settings = stack.settings
    value = like.value.replace(b'"id":"', b'"id":"lost-', 1)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all") as producer:
        topic = settings.overflow_topic
        sent = await producer.send_and_wait(topic, value, key=like.key, headers=list(like.headers), partition=0)
    place = TopicPartition(settings.overflow_topic, sent.partition)
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.overflow_group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([place])
        await consumer.commit({place: sent.offset + 1})
    now = sent.timestamp * 1000
    row = EdgeCountRow("door", 0, now, settings.overflow_topic, [PROJECT], [place.partition], [now // MINUTE * MINUTE],
                       [1], [sent.offset], [sent.offset], FOREVER)  # fmt: skip
    assert await Inserter(stack.client).insert("edge_counts", [row], "lost") == []
    return sent.partition, sent.offset


async def send(settings: Settings, records: list[Outgoing], partitions: int) -> None:
    """As a producer that knows of so many partitions."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", linger_ms=20) as producer:
        sends = [
            await producer.send(
                settings.events_topic,
                record.value,
                key=record.key,
                headers=list(record.headers),
                partition=partition_of(record.key or b"", partitions),
            )
            for record in records
        ]
        await asyncio.gather(*sends)


def wait_for_log(workers: list[WorkerProcess], words: str) -> None:
    """Return once one of them says so."""
    deadline = time.monotonic() + SECONDS
    while not any(words in worker.log.read_text() for worker in workers):
        assert time.monotonic() < deadline, f"no worker says {words!r}"
        time.sleep(0.02)


def wait_until_all_is_committed(stack: Stack, partitions: int, *topics: str) -> None:
    """Every partition is somebody's, and all rows of what lies in it are durable (I2), or it was moved."""
    topics = topics or (stack.settings.events_topic,)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        rows = [row for row in asyncio.run(read_lag(stack.settings)) if row.topic in topics]
        if len(rows) == partitions * len(topics) and not any(row.lag for row in rows):
            return
        time.sleep(0.1)
    raise AssertionError(rows)
