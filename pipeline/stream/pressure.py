"""Waiting that is backpressure: intake stands still, Faust's buffers fill, and fetching pauses.

What waits on and on is counted while it waits (`count`, called now and then), not only when it is over: an outage of
the store must show while it lasts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from pipeline.metrics import Metric, Metrics

Reason = Literal["store", "read_back", "media", "partition"]


class Pressure:
    """The waits of one process."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._clock = metrics, clock
        self._waits: dict[object, tuple[Reason, float]] = {}  # wait -> why, and counted until when

    async def wait(self, reason: Reason, event: asyncio.Event) -> None:
        """Wait for the event; free of charge where it is set."""
        if not event.is_set():
            await self.during(reason, event.wait())

    async def during(self, reason: Reason, work: Awaitable[object]) -> None:
        """Wait for something else, whose time counts as waiting."""
        wait = object()
        self._waits[wait] = reason, self._clock()
        try:
            await work
        finally:
            self._count(wait)
            del self._waits[wait]

    @property
    def waiting(self) -> set[Reason]:
        """What is waited for now."""
        return {reason for reason, _ in self._waits.values()}

    def count(self) -> None:
        """Bring the counters up to date."""
        for wait in list(self._waits):
            self._count(wait)

    def _count(self, wait: object) -> None:
        reason, since = self._waits[wait]
        now = self._clock()
        self._waits[wait] = reason, now
        self._metrics.add(Metric.BACKPRESSURE, now - since, reason)
