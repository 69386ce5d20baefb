"""`spanfold topics --grow N`: more partitions, while everything runs.

Rule: the topics of workers and evaluators grow together, the dead letters keep their order; none ever shrinks. Workers
notice within SPANFOLD_METADATA_AGE and share the partitions anew. Keys then have other homes: a worker moves what lies
in the old one to the new one (stream/moves.py), so a trace goes on being folded by one worker.
Fails with SettingError where N is too small or absurd, TopicError where the topics are not there or Kafka refuses;
nothing has changed then.
"""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ops.kafka_admin import looking
from pipeline.ops.topics import TopicError

WITHIN = 30.0  # seconds for everything
MOST = 10_000  # more is a slip of the finger
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Growth:
    """A topic, and how many partitions it has before and after."""

    topic: str
    before: int
    after: int

    def line(self, *, dry_run: bool) -> str:
        """For people."""
        if self.before == self.after:
            return f"{self.topic} has {self.before} partitions already"
        return f"{self.topic} {'would grow' if dry_run else 'has grown'} from {self.before} to {self.after} partitions"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


async def grow_topics(settings: Settings, partitions: int, *, dry_run: bool = False) -> list[Growth]:
    """Let the topics have so many partitions. Raises as told above, and BrokerUnreachableError."""
    names = [settings.events_topic, settings.overflow_topic, settings.evaluations_topic]
    async with looking(settings, WITHIN) as admin:
        before = await _partitions(admin, names)
        plan = [Growth(name, before[name], max(before[name], partitions)) for name in names]
        _check(settings, plan, partitions)
        wanted = {each.topic: NewPartitions(partitions) for each in plan if each.after > each.before}
        if wanted:
            try:
                await admin.create_partitions(wanted, validate_only=dry_run)
            except KafkaError as error:
                raise TopicError(
                    f"Kafka did not let the topics grow: {error!r}.", remedy="Check the broker's limits and rights."
                ) from error
        while not dry_run and wanted and any(n < partitions for n in (await _partitions(admin, names)).values()):
            await asyncio.sleep(_POLL)
    return plan


def run_grow(settings: Settings, partitions: int, *, dry_run: bool, as_json: bool) -> None:
    """The command: a line for each topic, or a JSON array. Raises what `grow_topics` raises."""
    plan = asyncio.run(grow_topics(settings, partitions, dry_run=dry_run))
    if as_json:
        print(json.dumps([each.as_json() for each in plan]))
        return
    print("\n".join(each.line(dry_run=dry_run) for each in plan))
    if not dry_run:
        print(f"Workers share them anew within {settings.metadata_age:g} s; what lies in an old home is moved.")


def _check(settings: Settings, plan: list[Growth], partitions: int) -> None:
    missing = [each.topic for each in plan if not each.before]
    if missing:
        raise TopicError(f"There is no topic {', '.join(missing)}.", remedy="Make the topics with `spanfold topics`.")
    now = next(each.before for each in plan if each.topic == settings.events_topic)
    if partitions < now:
        raise SettingError(
            f"{settings.events_topic} has {now} partitions: Kafka cannot take any away.",
            remedy=f"Give --grow a number above {now}.",
        )
    if partitions > MOST:
        raise SettingError(f"{partitions} partitions are more than any cluster serves.", remedy=f"At most {MOST}.")


async def _partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Partitions per topic, 0 where there is none of that name."""
    described: list[dict[str, Any]] = await admin.describe_topics(names)
    found = {topic["topic"]: len(topic["partitions"]) for topic in described}
    return {name: found.get(name, 0) for name in names}
