"""The topics that Spanfold needs, declared in one place and created when they are missing.

Rule: creation is idempotent, and what exists is never changed: an operator may have good reasons for other settings.
Where an existing topic would mislead us it is used and a warning is returned.
Fails with TopicError when the broker cannot be reached in time or refuses a topic.
Configured by `topic_prefix`, `topic_partitions` and `topic_replication` (pipeline/config.py).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.kafka_client import check_access, kafka_options
from pipeline.topic_limits import LARGEST, TIMESTAMPS, Configs, read_configs, too_small, untold

LARGEST_RECORD = 16 * 2**20  # bytes, compressed batch included
REACH_WITHIN = 30.0  # seconds
_DAY = 24 * 3600 * 1000  # ms
MIN_IN_SYNC = "min.insync.replicas"
ENOUGH_REPLICAS = 3  # with so many, two can be asked for and one broker may still be away
IN_SYNC = 2
_RETRY = 0.5  # seconds between attempts to reach the broker
_POLL = 0.05


class TopicError(SpanfoldError):
    """The topics could not be looked up or created."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as Spanfold creates it; `retention` in ms."""

    name: str
    partitions: int
    retention: int

    def request(self, replication: int) -> NewTopic:
        """What the admin client is asked to create; of enough replicas none acknowledges alone."""
        config = {
            TIMESTAMPS: "LogAppendTime",
            LARGEST: str(LARGEST_RECORD),
            "retention.ms": str(self.retention),
        }
        if replication >= ENOUGH_REPLICAS:
            config[MIN_IN_SYNC] = str(IN_SYNC)
        return NewTopic(self.name, self.partitions, replication, topic_configs=config)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. `created`: by this call. `warning`: how it differs from what Spanfold needs; '' is good."""

    name: str
    partitions: int
    created: bool
    warning: str = ""


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """All topics. Evaluations have as many partitions as events; dead letters are few and must keep their order."""
    return [
        TopicSpec(settings.events_topic, settings.topic_partitions, 7 * _DAY),
        TopicSpec(settings.overflow_topic, settings.topic_partitions, 7 * _DAY),
        TopicSpec(settings.evaluations_topic, settings.topic_partitions, 7 * _DAY),
        TopicSpec(settings.dead_letters_topic, 1, 30 * _DAY),
        TopicSpec(settings.edge_counts_topic, 1, 7 * _DAY),
    ]


async def ensure_topics(settings: Settings, deadline: float = REACH_WITHIN) -> list[TopicState]:
    """Create the topics that are missing and return the state of all, once each partition has a leader.

    `deadline` in seconds for everything. Raises TopicError.
    """
    specs = topic_specs(settings)
    try:
        await check_access(settings)
        async with asyncio.timeout(deadline), _admin(settings) as admin:
            created = await _create(admin, specs, settings.topic_replication)
            partitions = await _led_partitions(admin, [spec.name for spec in specs])
            configs = await read_configs(admin, [spec.name for spec in specs], [TIMESTAMPS, LARGEST])
    except TimeoutError as error:
        raise TopicError(
            f"Kafka at {settings.kafka_bootstrap} did not answer about the topics within {deadline:g} s.",
            remedy="Check that it runs and that SPANFOLD_KAFKA_BOOTSTRAP is right.",
        ) from error
    except KafkaError as error:
        raise TopicError(
            f"Kafka at {settings.kafka_bootstrap} broke off while the topics were set up: {error!r}.",
            remedy="Run `spanfold topics` again; what exists already is kept.",
        ) from error
    return [
        TopicState(spec.name, partitions[spec.name], spec.name in created, _warning(settings, spec.name, configs))
        for spec in specs
    ]


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client; tries until the broker answers, the caller's timeout ends it."""
    while True:
        admin = AIOKafkaAdminClient(**kafka_options(settings))
        try:
            await admin.start()
            break
        except KafkaError:
            await admin.close()
            await asyncio.sleep(_RETRY)
        except BaseException:
            await admin.close()
            raise
    try:
        yield admin
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], replication: int) -> set[str]:
    """Ask for all topics; the names of those that did not exist. The broker decides, so two callers do not race."""
    response = await admin.create_topics([spec.request(replication) for spec in specs])
    created = set()
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if code == 0:
            created.add(name)
        elif error is not TopicAlreadyExistsError:
            reason = message[0] if message and message[0] else error.__name__
            raise TopicError(f"Kafka refused to create topic {name}: {reason}", remedy=_remedy(replication))
    return created


async def _led_partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Partitions per topic, when all have a leader: a new topic may take a moment."""
    while True:
        topics = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics(names)}
        if all(topics.get(name) and all(part["leader"] >= 0 for part in topics[name]) for name in names):
            return {name: len(topics[name]) for name in names}
        await asyncio.sleep(_POLL)


def _warning(settings: Settings, name: str, configs: Configs) -> str:
    warnings = [complaint] if (complaint := too_small(settings, configs).get(name)) else []
    if (clock := configs.get(name, {}).get(TIMESTAMPS)) is None:
        warnings.append(untold([name], TIMESTAMPS))
    elif clock != "LogAppendTime":
        warnings.append(
            f"Topic {name} has {TIMESTAMPS}={clock}: producers' clocks would decide when an event arrived. "
            f"Run kafka-configs --alter --topic {name} --add-config {TIMESTAMPS}=LogAppendTime."
        )
    return " ".join(warnings)


def _remedy(replication: int) -> str:
    return f"Check the broker's rights and that it has at least {replication} brokers (SPANFOLD_TOPIC_REPLICATION)."
