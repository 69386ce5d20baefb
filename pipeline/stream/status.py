"""What a worker or an evaluator tells those who ask over HTTP: its metrics, and whether it is alive and ready.

Alive: its event loop turns. Ready: it has joined its group, the store has answered lately, and no flush hangs.
Without a port nothing is answered, but a stuck loop is still found and its stacks are logged.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from pipeline.config import Settings
from pipeline.metrics import CONTENT_TYPE, Metrics
from pipeline.metrics.health import LIVE, READY, Check, Health
from pipeline.metrics.heartbeat import Heartbeat
from pipeline.metrics.server import OFF, Answer, StatusServer
from pipeline.stream.pipeline import Pipeline

log = structlog.get_logger(__name__)

LONGEST_FLUSH = 60.0  # seconds; with more the process is not ready


@contextmanager
def open_status(settings: Settings, metrics: Metrics, ready: Sequence[Check]) -> Iterator[Heartbeat]:
    """Listen to the loop's heart, which is the caller's to `run`, and answer where a port is set, until the block ends.

    Raises SettingError where the address cannot be had.
    """
    heart = Heartbeat(settings.stuck_after, metrics)
    with heart.listening():
        if settings.metrics_port == OFF:
            yield heart
            return
        health = Health([heart.complaint], ready)
        paths = {
            "/metrics": lambda: Answer(200, metrics.text(), CONTENT_TYPE),
            LIVE: health.live,
            READY: health.ready,
        }
        server = StatusServer(paths, settings.metrics_host, settings.metrics_port)
        server.start()
        log.info("metrics_at", url=f"http://{settings.metrics_host}:{server.port}/metrics")
        try:
            yield heart
        finally:
            server.stop()


def has_joined(assigned: asyncio.Event) -> Check:
    """Complains while the group has not said which partitions are this process's; none at all is fine."""
    return lambda: "" if assigned.is_set() else "The consumer group has not assigned partitions."


def is_moving(pipeline: Pipeline) -> Check:
    """Complains while one flush takes too long."""

    def check() -> str:
        since = pipeline.writing_since
        seconds = 0.0 if since is None else time.monotonic() - since
        return f"A flush has taken {seconds:.0f} s until now." if seconds > LONGEST_FLUSH else ""

    return check
