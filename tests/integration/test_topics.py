"""The topics on a real broker: created once, as declared, never changed behind an operator's back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.topics import MIN_IN_SYNC, TopicError, TopicState, ensure_topics

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka: LocalKafka, topic_prefix: str) -> Settings:
    return Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, topic_partitions=3)


@pytest.fixture
async def admin(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


async def config_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_missing_topics_are_created_as_declared(
    settings: Settings, topic_prefix: str, admin: AIOKafkaAdminClient
) -> None:
    assert await ensure_topics(settings) == [
        TopicState(f"{topic_prefix}.events", 3, created=True),
        TopicState(f"{topic_prefix}.events.overflow", 3, created=True),
        TopicState(f"{topic_prefix}.evaluations", 3, created=True),
        TopicState(f"{topic_prefix}.dead-letters", 1, created=True),
        TopicState(f"{topic_prefix}.edge-counts", 1, created=True),
    ]
    events = await config_of(admin, settings.events_topic)
    dead_letters = await config_of(admin, settings.dead_letters_topic)
    assert events["message.timestamp.type"] == dead_letters["message.timestamp.type"] == "LogAppendTime"
    assert events["max.message.bytes"] == dead_letters["max.message.bytes"] == str(16 * 2**20)
    assert int(events["retention.ms"]) == 7 * 24 * 3600 * 1000
    assert events[MIN_IN_SYNC] == "1"  # there is one broker
    assert int(dead_letters["retention.ms"]) == 30 * 24 * 3600 * 1000


async def test_a_second_call_creates_nothing_and_tells_the_same(settings: Settings) -> None:
    first = await ensure_topics(settings)
    second = await ensure_topics(settings)
    assert [state.created for state in second] == [False] * 5
    assert [state.partitions for state in second] == [state.partitions for state in first]


async def test_of_two_calls_at_once_each_topic_is_created_by_one(settings: Settings) -> None:
    both = await asyncio.gather(ensure_topics(settings), ensure_topics(settings))
    assert [one.created + other.created for one, other in zip(*both, strict=True)] == [1] * 5


async def test_an_existing_topic_is_kept_and_its_clock_is_warned_about(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    config = {"message.timestamp.type": "CreateTime"}
    await admin.create_topics([NewTopic(settings.events_topic, 7, 1, topic_configs=config)])
    events, _, evaluations, *_ = await ensure_topics(settings)
    assert (events.partitions, events.created) == (7, False)
    assert f"{settings.events_topic} has message.timestamp.type=CreateTime" in events.warning
    assert evaluations.warning == ""
    assert (await config_of(admin, settings.events_topic))["message.timestamp.type"] == "CreateTime"


async def test_an_event_of_five_megabytes_passes_the_events_topic(settings: Settings) -> None:
    await ensure_topics(settings)
    value = bytes(range(256)) * 20_480
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", max_request_size=16 * 2**20)
    async with producer:
        sent = await producer.send_and_wait(settings.events_topic, value, key=b"p/t")
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(sent.topic, sent.partition)])
        assert (await consumer.getone()).value == value


async def test_more_copies_than_brokers_are_refused_with_the_remedy(settings: Settings) -> None:
    greedy = settings.model_copy(update={"topic_replication": 3})
    with pytest.raises(TopicError, match=r"refused to create topic .*SPANFOLD_TOPIC_REPLICATION"):
        await ensure_topics(greedy)


async def test_a_broker_that_is_away_is_reported_at_the_deadline(topic_prefix: str) -> None:
    nowhere = Settings(kafka_bootstrap=f"127.0.0.1:{find_free_port()}", topic_prefix=topic_prefix)
    with pytest.raises(TopicError, match=r"did not answer .*within 0\.3 s.*SPANFOLD_KAFKA_BOOTSTRAP"):
        await ensure_topics(nowhere, deadline=0.3)
