"""Whether the store answers: asked every few seconds, apart from the work, which may have nothing to ask.

A thread of its own asks, and nobody waits for it, also not at the end: a store that hangs may keep it for a minute.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.metrics import Metric, Metrics
from pipeline.stream.persist import RETRYABLE

log = structlog.get_logger(__name__)

EVERY = 5.0  # seconds
LONGEST_SILENCE = 30.0  # seconds; with more the process is not ready


class StoreWatch:
    """`with watch.asking():`. The client has answered when it was made, so silence begins now."""

    def __init__(self, client: Client, metrics: Metrics) -> None:
        self._client, self._metrics = client, metrics
        self._answered = time.monotonic()

    @contextmanager
    def asking(self, every: float = EVERY) -> Iterator[None]:
        """Ask until the block ends."""
        over = threading.Event()

        def ask() -> None:
            while not over.wait(every):
                self.ask()

        threading.Thread(target=ask, name="store-watch", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def ask(self) -> None:
        """Ask once."""
        try:
            self._client.command("SELECT 1")
            self._answered = time.monotonic()
        except RETRYABLE as error:
            log.warning("store_is_silent", seconds=round(self.silence(), 1), error=str(error)[:500])

    def silence(self) -> float:
        """Seconds since the last answer."""
        return time.monotonic() - self._answered

    def show(self) -> None:
        """Into the metrics."""
        self._metrics.set(Metric.STORE_SILENCE, self.silence())

    def complaint(self) -> str:
        """What is wrong, as health.py wants it."""
        silence = self.silence()
        return f"ClickHouse has not answered for {silence:.0f} s." if silence > LONGEST_SILENCE else ""
