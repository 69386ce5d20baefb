"""Figures that are looked at now and then instead of being counted: how much is in memory, how far behind.

Every second what the process knows itself; every few seconds the broker is asked where partitions end, since nobody
else would tell how much comes in while fetching pauses. How it fails: a broker that does not answer leaves the last
ends standing, and a line in the log; what waits grows older nevertheless.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import structlog

from pipeline.metrics import Metric, Metrics
from pipeline.stream.app import consumer_of
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Partition
from pipeline.stream.progress import Lag

log = structlog.get_logger(__name__)

EVERY = 1.0  # seconds
ENDS_EVERY = 5.0  # seconds
PATIENCE = 10.0  # seconds that the broker has for its answer


class Behind(Protocol):
    """Who knows how far this process is behind."""

    async def look_up_ends(self) -> None:
        """Ask the broker; may raise."""

    def lags(self) -> Mapping[TopicPartition, Lag]:
        """By the last look-up."""


class Consumers:
    """The consumers of some Faust apps; of one that has not started nothing is known."""

    def __init__(self, *apps: Any) -> None:
        self._apps = apps

    async def look_up_ends(self) -> None:
        """One after the other."""
        for app in self._apps:
            if app.started:
                await consumer_of(app).look_up_ends()

    def lags(self) -> Mapping[TopicPartition, Lag]:
        """All of them; no two consume one topic."""
        lags: dict[TopicPartition, Lag] = {}
        for app in self._apps:
            if app.started:
                lags |= consumer_of(app).lags()
        return lags


class Together:
    """All of these, one after the other; no two know of one topic."""

    def __init__(self, *behind: Behind) -> None:
        self._behind = behind

    async def look_up_ends(self) -> None:
        """Raises what the first that fails raises."""
        for each in self._behind:
            await each.look_up_ends()

    def lags(self) -> Mapping[TopicPartition, Lag]:
        """All of them."""
        lags: dict[TopicPartition, Lag] = {}
        for each in self._behind:
            lags |= each.lags()
        return lags


class Gauges:
    """`run` it in the background; `look` shows what else there is, every second."""

    def __init__(self, metrics: Metrics, behind: Behind, look: Callable[[], None]) -> None:
        self._metrics, self._behind, self._look = metrics, behind, look
        self._shown: set[tuple[str, str]] = set()  # topic, partition

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._show())
            group.create_task(self._ask())

    async def _show(self) -> None:
        while True:
            self._look()
            self.show_lag()
            await asyncio.sleep(EVERY)

    async def _ask(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(ENDS_EVERY)

    async def ask(self) -> None:
        """Ask the broker once."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._behind.look_up_ends()
        except Exception as error:  # a consumer that stops has errors of many kinds, and a figure is worth no process
            log.warning("ends_not_known", error=repr(error))

    def show_lag(self) -> None:
        """As it is now; partitions that are gone are shown no more."""
        shown = {(tp.topic, str(tp.partition)): lag for tp, lag in self._behind.lags().items()}
        for place in self._shown - shown.keys():
            self._metrics.forget(Metric.LAG, *place)
            self._metrics.forget(Metric.LAG_SECONDS, *place)
        for place, lag in shown.items():
            self._metrics.set(Metric.LAG, lag.records, *place)
            self._metrics.set(Metric.LAG_SECONDS, lag.seconds, *place)
        self._shown = set(shown)


def show_partitions(metrics: Metrics, partitions: Collection[Partition]) -> None:
    """What the partitions of a worker hold, in sum."""
    for metric, figure in (
        (Metric.PARTITIONS, len(partitions)),
        (Metric.OPEN, sum(len(each.open) for each in partitions)),
        (Metric.ASLEEP, sum(len(each.sleeping) for each in partitions)),
        (Metric.RESIDENT, sum(len(each.traces) for each in partitions)),
        (Metric.RESIDENT_BYTES, sum(each.size for each in partitions)),
        (Metric.UNWRITTEN, sum(len(each.unwritten) for each in partitions)),
        (Metric.KNOWN, sum(len(each.known) for each in partitions)),
    ):
        metrics.set(metric, figure)
