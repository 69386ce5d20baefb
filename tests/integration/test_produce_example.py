"""The example producer, run as its reader would run it, against a real broker."""

import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.events.decode import decode_record
from pipeline.events.model import Event, Micros, Record
from pipeline.local.kafka import LocalKafka

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "produce.py"
COUNT = 55


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()


async def consumed(bootstrap: str, topic: str, count: int) -> list[Event]:
    """The events of the first `count` records, which must come within 30 seconds."""
    events: list[Event] = []
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        while len(events) < count:
            batches = await consumer.getmany(timeout_ms=30_000)
            assert batches, f"only {len(events)} of {count} records came"
            for record in (record for batch in batches.values() for record in batch):
                place = (topic, record.partition, record.offset, Micros(record.timestamp * 1000))
                events += decode_record(Record(*place, record.key, record.value, tuple(record.headers)), 10_000)
    return events


@pytest.mark.stack
@pytest.mark.parametrize("encoding", ["avro", "json"])
async def test_every_record_of_the_example_producer_is_an_event(
    kafka: LocalKafka, topic_prefix: str, encoding: str
) -> None:
    topic = f"{topic_prefix}.events"
    await create(kafka.bootstrap, topic)
    options = ["--bootstrap", kafka.bootstrap, "--topic", topic, "--count", str(COUNT), "--format", encoding]
    done = subprocess.run([sys.executable, EXAMPLE, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"observations a second as {encoding}" in done.stdout

    events = await consumed(kafka.bootstrap, topic, COUNT)
    assert len({event.trace_id for event in events}) == 6
    assert len({(event.trace_id, event.entity_id) for event in events}) == COUNT
    roots = [event for event in events if "parent_observation_id" not in event.fields]
    assert {event.fields["trace_name"] for event in roots} == {"rag"}
    assert {event.entity_id for event in roots} >= {
        event.fields["parent_observation_id"] for event in events if event.fields["name"] == "answer"
    }
    assert all(event.fields["metadata"].keys() == {"step"} for event in events)
