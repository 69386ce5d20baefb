"""Whether Kafka may lose what it has acknowledged: the check `durability` of `spanfold doctor`.

Every record is sent with acks=all, which means: all replicas that are in sync just now. How many that are at least is
the topic's min.insync.replicas; with 1 a single broker acknowledges alone, and takes what it acknowledged along with
its disk. With an unclean election a replica that lags becomes the leader, and what it lacks is gone. Of one broker
nothing more can be asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.ops.finding import Finding
from pipeline.ops.kafka_admin import looking
from pipeline.ops.topics import ENOUGH_REPLICAS, IN_SYNC, MIN_IN_SYNC, topic_specs
from pipeline.topic_limits import read_configs, untold

UNCLEAN = "unclean.leader.election.enable"
_PATIENCE = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Kept:
    """How a topic is kept: the fewest replicas of any partition, how many must be in sync, unclean elections."""

    topic: str
    replicas: int
    in_sync: int | None  # None: the broker does not tell
    unclean: bool


async def check_durability(settings: Settings) -> Finding:
    """Acknowledged records outlive the loss of a broker, where there are several."""
    try:
        async with looking(settings, _PATIENCE) as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
            kept = await _kept(admin, [spec.name for spec in topic_specs(settings)])
    except SpanfoldError as error:
        return Finding("durability", False, str(error.args[0]), error.remedy)
    return judge(kept, brokers)


def judge(kept: list[Kept], brokers: int) -> Finding:
    """What is wrong with how topics are kept, all of it, and what to do."""
    wrong = [found for topic in kept for found in _weaknesses(topic, brokers)]
    if wrong:
        remedies = " ".join(dict.fromkeys(remedy for _, remedy in wrong))
        return Finding(
            "durability", False, "; ".join(found for found, _ in wrong), f"{remedies} See docs/operations.md."
        )
    if not kept:
        return Finding("durability", True, "no topics yet")
    fewest = min(topic.replicas for topic in kept)
    if brokers == 1:
        return Finding("durability", True, "one broker: its disk holds the only copy")
    found = f"{brokers} brokers, {fewest} replicas"
    if told := [topic.in_sync for topic in kept if topic.in_sync is not None]:
        found += f", {min(told)} in sync at least"
    silent = [topic.topic for topic in kept if topic.in_sync is None]
    return Finding("durability", True, f"{found}. {untold(silent, MIN_IN_SYNC)}" if silent else found)


def _weaknesses(topic: Kept, brokers: int) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do)."""
    name = topic.topic
    if topic.replicas == 1 and brokers > 1:
        yield (
            f"{name} has 1 replica on {brokers} brokers",
            f"Set SPANFOLD_TOPIC_REPLICATION={min(brokers, ENOUGH_REPLICAS)} before topics are made; give those that "
            "are there more replicas with kafka-reassign-partitions.",
        )
    if topic.replicas >= ENOUGH_REPLICAS and topic.in_sync is not None and topic.in_sync < IN_SYNC:
        yield f"{name} has {MIN_IN_SYNC}={topic.in_sync}", _alter(f"{MIN_IN_SYNC}={IN_SYNC}")
    if topic.unclean and topic.replicas > 1:
        yield f"{name} has {UNCLEAN}=true", _alter(f"{UNCLEAN}=false")


def _alter(config: str) -> str:
    return f"Run kafka-configs --alter --topic NAME --add-config {config} for each."


async def _kept(admin: Any, names: list[str]) -> list[Kept]:
    """Of the topics that are there."""
    described = [topic for topic in await admin.describe_topics(names) if topic["partitions"]]
    if not described:
        return []
    configs = await read_configs(admin, [topic["topic"] for topic in described], [MIN_IN_SYNC, UNCLEAN])
    return [
        Kept(
            topic["topic"],
            min(len(partition["replicas"]) for partition in topic["partitions"]),
            int(told) if (told := configs.get(topic["topic"], {}).get(MIN_IN_SYNC)) else None,
            configs.get(topic["topic"], {}).get(UNCLEAN) == "true",
        )
        for topic in described
    ]
