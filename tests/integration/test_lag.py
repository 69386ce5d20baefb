"""`spanfold lag` on a real broker."""

import json

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.kafka_admin import BrokerUnreachableError
from pipeline.ops.lag import PartitionLag, fold_group, print_lag, read_lag
from pipeline.ops.topics import ensure_topics


@pytest.fixture
async def settings(kafka: LocalKafka, topic_prefix: str) -> Settings:
    made = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, topic_partitions=2)
    await ensure_topics(made)
    return made


async def send(settings: Settings, partition: int, count: int, topic: str = "") -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap) as producer:
        for _ in range(count):
            await producer.send_and_wait(topic or settings.events_topic, b"{}", partition=partition)


async def commit(settings: Settings, group: str, topic: str, partition: int, offset: int) -> None:
    place = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.commit({place: offset})
    finally:
        await consumer.stop()


async def test_a_group_that_never_ran_is_behind_by_everything(settings: Settings) -> None:
    await send(settings, 0, 3)
    await send(settings, 1, 2, settings.overflow_topic)
    assert await read_lag(settings) == [
        PartitionLag(fold_group(settings), settings.events_topic, 0, None, 3, 3),
        PartitionLag(fold_group(settings), settings.events_topic, 1, None, 0, 0),
        PartitionLag(settings.overflow_group, settings.overflow_topic, 0, None, 0, 0),
        PartitionLag(settings.overflow_group, settings.overflow_topic, 1, None, 2, 2),
    ]


async def test_lag_is_the_end_less_what_was_committed_per_group_and_partition(settings: Settings) -> None:
    await send(settings, 0, 5)
    await commit(settings, fold_group(settings), settings.events_topic, 0, 2)
    other = f"{settings.topic_prefix}-other"
    await commit(settings, other, settings.evaluations_topic, 1, 0)
    rows = await read_lag(settings)
    assert [(row.group, row.topic, row.partition, row.committed, row.lag) for row in rows] == [
        (fold_group(settings), settings.events_topic, 0, 2, 3),
        (fold_group(settings), settings.events_topic, 1, None, 0),
        (other, settings.evaluations_topic, 0, None, 0),
        (other, settings.evaluations_topic, 1, 0, 0),
        (settings.overflow_group, settings.overflow_topic, 0, None, 0),
        (settings.overflow_group, settings.overflow_topic, 1, None, 0),
    ]


async def test_groups_of_another_installation_are_not_shown(settings: Settings) -> None:
    await commit(settings, f"x{settings.topic_prefix}-fold", settings.events_topic, 0, 0)
    assert {row.group for row in await read_lag(settings)} == {fold_group(settings), settings.overflow_group}


async def test_no_broker_is_an_error_with_a_remedy() -> None:
    absent = Settings(kafka_bootstrap=f"127.0.0.1:{find_free_port()}")
    with pytest.raises(BrokerUnreachableError, match="SPANFOLD_KAFKA_BOOTSTRAP"):
        await read_lag(absent)


def test_lag_is_printed_as_a_table_with_a_sum_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [PartitionLag("g", "t", 0, None, 3, 3), PartitionLag("g", "t", 1, 4, 8, 4)]
    print_lag(rows, as_json=True)
    assert json.loads(capsys.readouterr().out)[1] == {
        "group": "g", "topic": "t", "partition": 1, "committed": 4, "end": 8, "lag": 4,
    }  # fmt: skip
    print_lag(rows, as_json=False)
    assert "7" in capsys.readouterr().out.splitlines()[-2]
