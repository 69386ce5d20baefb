"""Counts of accepted records: nothing is told twice, nothing forgotten while Kafka is away."""

import asyncio

import msgspec
import pytest

from pipeline.events.edge_counts import Publication
from pipeline.ingest.edge_counts import UNKNOWN, EdgeCounts
from pipeline.ops.topics import LARGEST_RECORD

MINUTE = 60_000  # ms
AT = 1_700_000_040_000 // MINUTE * MINUTE


class Kafka:
    """A topic that takes messages, or does not."""

    def __init__(self) -> None:
        self.takes = True
        self.messages: list[Publication] = []

    async def publish(self, value: bytes) -> bool:
        self.messages.append(msgspec.json.decode(value, type=Publication))
        return self.takes

    def counts(self) -> dict[tuple[str, int, int], int]:
        """Records by project, partition and minute, each publication once."""
        found: dict[tuple[str, int, int], int] = {}
        for each in {message.number: message for message in self.messages}.values():
            for key, records in zip(
                zip(each.projects, each.partitions, each.minutes, strict=True), each.records, strict=True
            ):
                found[key] = found.get(key, 0) + records
        return found


async def test_records_are_counted_by_project_partition_and_minute_of_the_log() -> None:
    kafka = Kafka()
    counts = EdgeCounts("events", kafka.publish)
    counts.count("a", 0, 3, 10, AT)
    counts.count("a", 0, 2, 17, AT + MINUTE - 1)
    counts.count("a", 0, 1, 19, AT + MINUTE)
    counts.count("b", 1, 5, 0, AT)
    assert await counts.tell()
    minute = AT * 1000
    assert kafka.counts() == {("a", 0, minute): 5, ("a", 0, minute + MINUTE * 1000): 1, ("b", 1, minute): 5}
    [message] = kafka.messages
    assert (message.topic, message.firsts, message.lasts) == ("events", [10, 19, 0], [18, 19, 4])


async def test_what_kafka_did_not_take_is_told_again_under_its_number_and_not_mixed_with_what_came_later() -> None:
    kafka = Kafka()
    counts = EdgeCounts("events", kafka.publish)
    counts.count("a", 0, 3, 0, AT)
    kafka.takes = False
    assert not await counts.tell()
    counts.count("a", 0, 4, 3, AT)
    kafka.takes = True
    assert await counts.tell()
    assert await counts.tell()
    assert [message.number for message in kafka.messages] == [0, 0, 1]
    assert kafka.messages[0] == kafka.messages[1]
    assert kafka.counts() == {("a", 0, AT * 1000): 7}


async def test_nothing_is_sent_where_nothing_was_accepted() -> None:
    kafka = Kafka()
    assert await EdgeCounts("events", kafka.publish).tell()
    assert kafka.messages == []


async def test_the_rest_is_told_at_the_end_and_two_processes_do_not_share_numbers() -> None:
    kafka = Kafka()
    for _ in range(2):
        counts = EdgeCounts("events", kafka.publish)
        counts.count("a", 0, 1, UNKNOWN, AT)
        await counts.finish()
    assert len({(message.instance, message.number) for message in kafka.messages}) == 2


async def test_an_acknowledgement_without_a_time_counts_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ingest.edge_counts.time_ns", lambda: (AT + 5) * 1_000_000)
    kafka = Kafka()
    counts = EdgeCounts("events", kafka.publish)
    counts.count("a", 0, 1, UNKNOWN, UNKNOWN)
    assert await counts.tell()
    assert kafka.counts() == {("a", 0, AT * 1000): 1}


async def test_what_gathers_while_kafka_takes_nothing_is_told_in_publications_that_the_topic_takes() -> None:
    kafka = Kafka()
    counts = EdgeCounts("events", kafka.publish, every=0.0)
    for project in range(3_000):
        for partition in range(24):
            counts.count(f"project-{project}", partition, 7, 10**12, AT)
    telling = asyncio.create_task(counts.run())
    while len(kafka.counts()) < 3_000 * 24:
        await asyncio.sleep(0)
    telling.cancel()
    assert [message.number for message in kafka.messages] == [0, 1, 2, 3]
    assert max(len(msgspec.json.encode(message)) for message in kafka.messages) < LARGEST_RECORD // 4
    assert set(kafka.counts().values()) == {7}
