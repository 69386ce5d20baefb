"""How far the workers are behind what the front door accepts.

Problem: Kafka keeps events for a time only; a front door that goes on accepting while nobody folds will see accepted
events expire. Rule: the lag of the workers' group on the events topic is looked up every few seconds; above
SPANFOLD_MAX_LAG events requests are refused with 503 and Retry-After, so that clients keep what they have. Where the
lag cannot be read the last answer stands, and that Kafka is away is noticed by every request anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.ingest.answers import unavailable
from pipeline.kafka_client import kafka_options
from pipeline.metrics import Metric, Metrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
_ANSWER_SECONDS = 10.0


class LagWatch:
    """`start`, `check` at every request, `stop`."""

    def __init__(self, settings: Settings, metrics: Metrics, partitions: Callable[[], Awaitable[int]]) -> None:
        self._settings = settings
        self._partitions = partitions  # how many the events topic has now
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self.lag = 0

    def start(self) -> None:
        """Begin to look, where there is a limit at all."""
        if self._settings.max_lag:
            self._task = asyncio.create_task(self._run(), name="lag")

    async def stop(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> None:
        """Raise ApiError (503) while the workers are too far behind."""
        if complaint := self.complaint():
            raise unavailable(complaint)

    def complaint(self) -> str:
        """What is wrong where they are, else nothing."""
        limit = self._settings.max_lag
        return f"The workers are {self.lag} events behind, {limit} are allowed." if limit and self.lag > limit else ""

    async def _run(self) -> None:
        while True:
            try:
                await self._look_for_long()
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("lag_unknown", group=self._settings.fold_group, error=str(error) or type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def _look_for_long(self) -> None:
        """With one consumer that is no member of the group: it only asks. Raises KafkaError or TimeoutError."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            group_id=self._settings.fold_group,
            client_id="spanfold-ingest-lag",
            enable_auto_commit=False,
        )
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await consumer.start()
            while True:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    self.lag = await self._read(consumer)
                self._metrics.set(Metric.INGEST_LAG, self.lag)
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> int:
        topic = self._settings.events_topic
        places = [TopicPartition(topic, number) for number in range(await self._partitions())]
        consumer.assign(places)
        consumer.pause(*places)  # only asked about: without this it would fetch events, which nobody reads
        ends, starts = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
        lag = 0
        for place in places:
            committed = await consumer.committed(place)
            lag += max(0, ends[place] - (starts[place] if committed is None else committed))
        return lag
