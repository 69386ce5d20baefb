"""`spanfold lag`: how far each consumer group is behind, per partition.

Rule: lag is the end offset less the committed one; where a group has committed nothing yet, everything that the
partition still holds. Groups are those whose name starts with the prefix; the fold group and that of the overflow are
shown even before they exist, because a group that nobody started is the worst lag of all.
Fails with BrokerUnreachableError. Configured by `kafka_bootstrap` and `topic_prefix`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.table import Table

from pipeline.config import Settings
from pipeline.kafka_client import kafka_options
from pipeline.ops.kafka_admin import looking

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition as one group sees it; `committed` is the next offset to read, None before the first commit."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


def fold_group(settings: Settings) -> str:
    """The consumer group of the workers."""
    return settings.fold_group


async def read_lag(settings: Settings) -> list[PartitionLag]:
    """The lag of all groups, sorted by group, topic and partition. Raises BrokerUnreachableError."""
    async with looking(settings) as admin:
        committed = await _committed(admin, settings)
        partitions = await _partitions(admin, {topic for topics in committed.values() for topic in topics})
        first, end = await _bounds(settings, partitions)
    rows = [
        _row(group, place, committed[group][place.topic].get(place), first, end)
        for group, topics in committed.items()
        for place in partitions
        if place.topic in topics
    ]
    return sorted(rows, key=lambda row: (row.group, row.topic, row.partition))


def print_lag(rows: list[PartitionLag], *, as_json: bool) -> None:
    """A table with a sum, or a JSON array of objects."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    table = Table(show_footer=True)
    for name, footer in (("Group", "all"), ("Topic", "")):
        table.add_column(name, footer=footer)
    for name in ("Partition", "Committed", "End"):
        table.add_column(name, justify="right")
    table.add_column("Lag", justify="right", footer=str(sum(row.lag for row in rows)))
    for row in rows:
        committed = "-" if row.committed is None else str(row.committed)
        table.add_row(row.group, row.topic, str(row.partition), committed, str(row.end), str(row.lag))
    Console().print(table)


async def _committed(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, dict[str, dict[TopicPartition, int]]]:
    """Group -> topic -> partition -> committed offset, for our groups and our topics."""
    groups = {name for name, _ in await admin.list_consumer_groups() if name.startswith(f"{settings.topic_prefix}-")}
    found: dict[str, dict[str, dict[TopicPartition, int]]] = {
        fold_group(settings): {settings.events_topic: {}},
        settings.overflow_group: {settings.overflow_topic: {}},
    }
    for group in sorted(groups):
        for place, state in (await admin.list_consumer_group_offsets(group)).items():
            if place.topic.startswith(f"{settings.topic_prefix}.") and state.offset >= 0:
                found.setdefault(group, {}).setdefault(place.topic, {})[place] = state.offset
    return found


async def _partitions(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of the topics that exist."""
    existing = set(await admin.list_topics())
    described: list[dict[str, Any]] = await admin.describe_topics(sorted(existing.intersection(topics)))
    return [TopicPartition(topic["topic"], part["partition"]) for topic in described for part in topic["partitions"]]


async def _bounds(settings: Settings, partitions: list[TopicPartition]) -> tuple[Offsets, Offsets]:
    """The first and the end offset of each partition."""
    consumer = AIOKafkaConsumer(**kafka_options(settings))
    await consumer.start()
    try:
        return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()


def _row(group: str, place: TopicPartition, committed: int | None, first: Offsets, end: Offsets) -> PartitionLag:
    behind = end[place] - (first[place] if committed is None else committed)
    return PartitionLag(group, place.topic, place.partition, committed, end[place], max(0, behind))
