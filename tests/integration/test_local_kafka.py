"""The embedded broker as real clients meet it: large and compressed records, crashes, other ports, clear failures."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.local.kafka import BrokerError, LocalKafka
from pipeline.local.ports import find_free_port, find_free_ports

pytestmark = pytest.mark.stack

LOG_APPEND_TIME = 1


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that the test may kill; started, on data of its own."""
    broker = LocalKafka(tmp_path / "kafka", *find_free_ports(2))
    broker.start()
    yield broker
    broker.stop()


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(topic, 1, 1)])
        assert [error[1] for error in response.topic_errors] == [0]
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Return when the broker has acknowledged all `values`."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_request_size=16 * 2**20,
    )
    async with producer:
        for sent in [await producer.send(topic, value) for value in values]:
            await sent


async def consume(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    """The first `count` records of the topic's only partition."""
    records: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        while len(records) < count:
            records.append(await consumer.getone())
    return records


async def test_compressed_idempotent_records_come_back_with_the_brokers_time(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    values = [f"event {number}".encode() * 50 for number in range(500)]
    await create_topic(kafka.bootstrap, topic_prefix)
    await produce(kafka.bootstrap, topic_prefix, values)
    records = await consume(kafka.bootstrap, topic_prefix, len(values))
    assert [record.value for record in records] == values
    assert {record.timestamp_type for record in records} == {LOG_APPEND_TIME}


async def test_a_group_resumes_at_its_committed_offset(kafka: LocalKafka, topic_prefix: str) -> None:
    await create_topic(kafka.bootstrap, topic_prefix)
    await produce(kafka.bootstrap, topic_prefix, [b"0", b"1", b"2"])
    for expected in (b"0", b"1", b"2"):
        member = AIOKafkaConsumer(
            topic_prefix,
            bootstrap_servers=kafka.bootstrap,
            group_id=topic_prefix,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        async with member:
            record = await member.getone()
            await member.commit({TopicPartition(topic_prefix, 0): record.offset + 1})
        assert record.value == expected


async def test_a_transaction_commits_on_one_node(kafka: LocalKafka, topic_prefix: str) -> None:
    await create_topic(kafka.bootstrap, topic_prefix)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic_prefix)
    async with producer, producer.transaction():
        await producer.send_and_wait(topic_prefix, b"once")
    (record,) = await consume(kafka.bootstrap, topic_prefix, 1)
    assert record.value == b"once"


async def test_a_topic_is_never_made_by_asking_for_it(kafka: LocalKafka, topic_prefix: str) -> None:
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        consumer.subscribe([topic_prefix])
        assert topic_prefix not in await consumer.topics()


def test_the_broker_logs_to_its_file_and_prints_nothing(kafka: LocalKafka) -> None:
    assert "Kafka Server started" in (kafka.logs / "kafka.log").read_text()
    assert "SLF4J" not in (kafka.logs / "kafka.out").read_text()


def test_acknowledged_records_survive_sigkill(own_broker: LocalKafka) -> None:
    values = [os.urandom(20_000) for _ in range(300)]
    asyncio.run(create_topic(own_broker.bootstrap, "kept"))
    asyncio.run(produce(own_broker.bootstrap, "kept", values))
    identity = own_broker.cluster_id
    own_broker.kill()
    own_broker.start()
    assert own_broker.cluster_id == identity
    assert [record.value for record in asyncio.run(consume(own_broker.bootstrap, "kept", 300))] == values


def test_the_same_data_serves_on_other_ports(own_broker: LocalKafka) -> None:
    asyncio.run(create_topic(own_broker.bootstrap, "kept"))
    asyncio.run(produce(own_broker.bootstrap, "kept", [b"before"]))
    own_broker.stop()
    moved = LocalKafka(own_broker.data, *find_free_ports(2))
    moved.start()
    try:
        asyncio.run(produce(moved.bootstrap, "kept", [b"after"]))
        records = asyncio.run(consume(moved.bootstrap, "kept", 2))
    finally:
        moved.stop()
    assert [record.value for record in records] == [b"before", b"after"]


def test_a_broker_that_ignores_sigterm_is_killed_at_the_deadline(own_broker: LocalKafka) -> None:
    assert own_broker.pid is not None
    os.kill(own_broker.pid, signal.SIGSTOP)
    own_broker.stop(deadline=0.3)
    assert own_broker.pid is None


def test_a_taken_port_is_told_in_the_brokers_own_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broker = LocalKafka(tmp_path, taken.getsockname()[1], find_free_port())
        with pytest.raises(BrokerError, match=r"(?s)ended while it was starting.*Address already in use"):
            broker.start()
    assert broker.pid is None


def test_another_cluster_on_the_port_is_not_taken_for_ours(kafka: LocalKafka, tmp_path: Path) -> None:
    ours = LocalKafka(tmp_path, kafka.port, find_free_port())
    ours.prepare()
    with pytest.raises(BrokerError, match=r"did not answer within 0\.2 s"):
        ours.wait_ready(0.2, alive=lambda: True)


def test_preparing_again_keeps_the_data_and_its_identity(kafka: LocalKafka) -> None:
    identity = kafka.cluster_id
    kafka.prepare()
    assert identity is not None
    assert kafka.cluster_id == identity


def test_storage_that_cannot_be_formatted_says_why(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "bootstrap.checkpoint").mkdir()
    broker = LocalKafka(tmp_path, *find_free_ports(2))
    with pytest.raises(BrokerError, match=r"could not be formatted: .*bootstrap\.checkpoint"):
        broker.prepare()
