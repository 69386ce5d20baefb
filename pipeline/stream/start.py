"""The start of a worker's or an evaluator's process: it says how it is, and waits for what it needs.

1 it answers over HTTP (stream/status.py), alive and not ready, 2 Kafka lets us in, 3 ClickHouse answers, 4 the registry
opens, 5 the outbox is connected. What does not answer is waited for, with a line in the log every few seconds; what
refuses us is an error (patience.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.errors import AbsentError
from pipeline.kafka_client import check_access, check_presence
from pipeline.kafka_records import held, hold_unreadable
from pipeline.metrics import Metric, Metrics
from pipeline.metrics.health import Check
from pipeline.patience import Waiting
from pipeline.registry import Registry, open_registry
from pipeline.store.client import connect
from pipeline.stream.exits import guarded
from pipeline.stream.outbox import Outbox
from pipeline.stream.status import open_status

SHOW_EVERY = 1.0  # seconds


class Start:
    """What a process waits for. `checks` are those of its readiness; more may be added."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._waiting = settings, Waiting()
        self.checks: list[Check] = [self._waiting.complaint]

    async def services(self) -> None:
        """Kafka and ClickHouse are there and let us in. Raises SettingError and StoreError where one refuses us."""
        settings = self._settings
        await self._waiting.until("Kafka", partial(check_presence, settings))
        await check_access(settings)
        await self._waiting.until("ClickHouse", partial(asyncio.to_thread, self._ask_store))

    async def registry(self) -> Registry:
        """The registry, opened. Raises RegistryError where it refuses us."""
        return await self._waiting.until(
            "The registry", partial(asyncio.to_thread, open_registry, self._settings.registry)
        )

    async def outbox(self, outbox: Outbox) -> None:
        """The outbox is connected."""

        async def connect_() -> None:
            try:
                await outbox.start()
            except KafkaError as error:
                await outbox.stop()
                raise AbsentError(
                    f"Kafka at {self._settings.kafka_bootstrap} does not answer as it should: {error}.",
                    remedy="Check SPANFOLD_KAFKA_BOOTSTRAP and SPANFOLD_KAFKA_SECURITY_PROTOCOL.",
                ) from error

        await self._waiting.until("Kafka", connect_)

    def _ask_store(self) -> None:
        connect(self._settings, deadline=0.0).close()


@asynccontextmanager
async def begin(settings: Settings, metrics: Metrics) -> AsyncIterator[Start]:
    """Steps 1 to 3; the process answers until the block ends."""
    hold_unreadable()
    start = Start(settings)
    with open_status(settings, metrics, start.checks) as heart:
        tasks = [guarded("heartbeat_failed", heart.run()), guarded("gauges_failed", _show_held(metrics))]
        try:
            await start.services()
            yield start
        finally:
            for task in tasks:
                task.cancel()


async def _show_held(metrics: Metrics) -> None:
    while True:
        metrics.set(Metric.HELD, len(held()))
        await asyncio.sleep(SHOW_EVERY)
