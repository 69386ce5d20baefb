"""How far the workers are behind what the front door accepts.

Problem: Kafka keeps events for a time only; a front door that goes on accepting while nobody folds will see accepted
events expire. Rule: the lag of the workers on the events topic is looked up every few seconds; above SPANFOLD_MAX_LAG
events requests are refused with 503 and Retry-After, so that clients keep what they have. The overflow has the same
limit of its own: above it only what would go there is refused, for a project that keeps to its share must not be
refused because another one floods (I8); readiness mentions it and stays.
Where a lag cannot be read the last answer stands, and that Kafka is away is noticed by every request anyway.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.ingest.answers import unavailable
from pipeline.kafka_client import kafka_options
from pipeline.metrics import Metric, Metrics

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
_ANSWER_SECONDS = 10.0

Partitions = Callable[[], Awaitable[int]]
"""How many a topic has now; 0 where it is not there."""


class TopicLag:
    """The lag of one group on one topic: `lag` by the last look."""

    def __init__(self, settings: Settings, group: str, topic: str, partitions: Partitions) -> None:
        self._settings, self._group, self._topic, self._partitions = settings, group, topic, partitions
        self.lag = 0

    async def run(self, told: Callable[[int], None]) -> None:
        """Look for ever, and tell."""
        while True:
            try:
                await self._look_for_long(told)
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("The lag on %s cannot be read: %s", self._topic, str(error) or type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def _look_for_long(self, told: Callable[[int], None]) -> None:
        """With one consumer that is no member of the group: it only asks. Raises KafkaError or TimeoutError."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            group_id=self._group,
            client_id="spanfold-ingest-lag",
            enable_auto_commit=False,
        )
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await consumer.start()
            while True:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    self.lag = await self._read(consumer)
                told(self.lag)
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> int:
        places = [TopicPartition(self._topic, number) for number in range(await self._partitions())]
        if not places:
            return 0
        consumer.assign(places)
        ends, starts = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
        lag = 0
        for place in places:
            committed = await consumer.committed(place)
            lag += max(0, ends[place] - max(starts[place], committed or 0))
        return lag


class LagWatch:
    """`start`, `check` at every request, `check_overflow` at one that goes there, `stop`."""

    def __init__(self, settings: Settings, metrics: Metrics, events: Partitions, overflow: Partitions) -> None:
        self._limit = settings.max_lag
        self._metrics = metrics
        self._events = TopicLag(settings, settings.fold_group, settings.events_topic, events)
        self._overflow = TopicLag(settings, settings.overflow_group, settings.overflow_topic, overflow)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look, where there is a limit at all."""
        if self._limit:
            for metric, topic in ((Metric.INGEST_LAG, self._events), (Metric.INGEST_OVERFLOW_LAG, self._overflow)):
                work = topic.run(partial(self._tell, metric))
                self._tasks.append(asyncio.create_task(work, name=metric))

    def _tell(self, metric: Metric, lag: int) -> None:
        self._metrics.set(metric, lag)

    async def stop(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise ApiError (503) while the workers are too far behind."""
        if complaint := self.complaint():
            raise unavailable(complaint)

    def check_overflow(self) -> None:
        """Raise ApiError (503) while too much waits in the overflow to add to it."""
        if complaint := self.overflow_complaint():
            raise unavailable(complaint)

    def complaint(self) -> str:
        """What is wrong where workers are too far behind, else nothing."""
        lag, limit = self._events.lag, self._limit
        return f"The workers are {lag} events behind, {limit} are allowed." if limit and lag > limit else ""

    def overflow_complaint(self) -> str:
        """The same of the overflow."""
        lag, limit = self._overflow.lag, self._limit
        if not limit or lag <= limit:
            return ""
        return f"{lag} events wait in the overflow, {limit} are allowed: what is beyond a project's share is refused."
