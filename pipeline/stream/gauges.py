"""Figures that are looked at now and then instead of being counted: how much is in memory, how far behind.

Every second what the process knows itself, every few seconds the lag, for which the broker is asked: while fetching
pauses, nobody else would tell how much comes in. How it fails: a broker that does not answer leaves the last figures
standing, and a line in the log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from pipeline.metrics import Metric, Metrics
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Partition
from pipeline.stream.progress import Lag

log = structlog.get_logger(__name__)

EVERY = 1.0  # seconds
LAG_EVERY = 5  # times that
PATIENCE = 10.0  # seconds that the broker has for its answer

ReadLag = Callable[[], Awaitable[Mapping[TopicPartition, Lag]]]


class Gauges:
    """`run` it in the background; `look` is called before each reading of the gauges."""

    def __init__(self, metrics: Metrics, read_lag: ReadLag, look: Callable[[], None]) -> None:
        self._metrics, self._read_lag, self._look = metrics, read_lag, look
        self._shown: set[tuple[str, str]] = set()  # topic, partition

    async def run(self) -> None:
        """For ever."""
        turn = 0
        while True:
            self._look()
            if turn % LAG_EVERY == 0:
                await self.lag()
            turn += 1
            await asyncio.sleep(EVERY)

    async def lag(self) -> None:
        """Ask for the lag and show it; partitions that are gone are shown no more."""
        try:
            async with asyncio.timeout(PATIENCE):
                lags = await self._read_lag()
        except Exception as error:  # a consumer that stops has errors of many kinds, and a figure is worth no process
            log.warning("lag_not_known", error=repr(error))
            return
        shown = {(tp.topic, str(tp.partition)): lag for tp, lag in lags.items()}
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
