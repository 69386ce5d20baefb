"""How large a record the topics take, and what happens where one takes less than the events topic.

Problem: a record that fits the events topic may be put aside (to the overflow) or refused (to the dead letters). A
topic there with a smaller `max.message.bytes` would say no to it. Rule: such a record stays in the events topic, or its
bytes go to the table of dead letters; whoever operates is told, by `spanfold topics`, `spanfold doctor` and the log of
each worker.
How it fails: a broker that does not answer in time, or does not let us ask (the right is DescribeConfigs), leaves the
limits unknown; what a topic then refuses is dealt with when it happens.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.kafka_client import kafka_options

log = structlog.get_logger(__name__)

TIMESTAMPS = "message.timestamp.type"
LARGEST = "max.message.bytes"
ANSWER_WITHIN = 5.0  # seconds

Configs = Mapping[str, Mapping[str, str]]
"""Topic -> name -> value; a topic that the broker says nothing of is missing."""


async def read_configs(admin: Any, topics: Sequence[str], names: Sequence[str]) -> Configs:
    """These settings of these topics. Raises KafkaError."""
    wanted: dict[str, Any] = dict.fromkeys(names)
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, configs=wanted) for topic in topics]
    (response,) = await admin.describe_configs(resources)
    return {topic: {each[0]: each[1] for each in told} for _, _, _, topic, told in response.resources if told}


def too_small(settings: Settings, configs: Configs) -> dict[str, str]:
    """Topic -> what is wrong with its limit and what to do, for those that take less than the events topic."""
    most = _largest(configs, settings.events_topic)
    fates = {
        settings.overflow_topic: "stays in the events topic instead of being put aside",
        settings.dead_letters_topic: "is kept as a dead letter in the table only",
    }
    return {
        topic: f"Topic {topic} takes records of {limit} bytes, {settings.events_topic} of {most}: one in between "
        f"{fate}. Run kafka-configs --alter --topic {topic} --add-config {LARGEST}={most}."
        for topic, fate in fates.items()
        if (limit := _largest(configs, topic)) and limit < most
    }


def untold(topics: Sequence[str], name: str) -> str:
    """What to say where the broker does not tell a setting, which is no fault of the topics."""
    return (
        f"The broker does not tell {name} of {', '.join(topics)}: that is for its own tools (right: DescribeConfigs)."
    )


def _largest(configs: Configs, topic: str) -> int:
    """Bytes; 0 where it is not known."""
    told = configs.get(topic, {}).get(LARGEST, "")
    return int(told) if told and told.isdigit() else 0


async def learn_limits(settings: Settings) -> dict[str, int]:
    """Topic -> largest record batch in bytes, as far as the broker tells; logs where a topic takes too little."""
    topics = [settings.events_topic, settings.overflow_topic, settings.dead_letters_topic]
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await admin.start()
            configs = await read_configs(admin, topics, [LARGEST])
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("topic_limits_unknown", error=repr(error))
        return {}
    finally:
        await admin.close()
    for topic, complaint in too_small(settings, configs).items():
        log.warning("topic_takes_too_little", topic=topic, complaint=complaint)
    return {topic: limit for topic in topics if (limit := _largest(configs, topic))}
