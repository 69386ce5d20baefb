"""What a worker or an evaluator tells those who ask over HTTP: its metrics, and whether it is alive and ready."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from pipeline.config import Settings
from pipeline.metrics import CONTENT_TYPE, Metrics
from pipeline.metrics.health import LIVE, READY, Health
from pipeline.metrics.server import OFF, Answer, StatusServer

log = structlog.get_logger(__name__)


@contextmanager
def open_status(settings: Settings, metrics: Metrics, assigned: asyncio.Event) -> Iterator[None]:
    """Answer until the block ends, where a port is set. Raises SettingError where the address cannot be had."""
    if settings.metrics_port == OFF:
        yield
        return
    health = Health([], [lambda: "" if assigned.is_set() else "No partitions are assigned yet."])
    paths = {
        "/metrics": lambda: Answer(200, metrics.text(), CONTENT_TYPE),
        LIVE: health.live,
        READY: health.ready,
    }
    server = StatusServer(paths, settings.metrics_host, settings.metrics_port)
    server.start()
    log.info("metrics_at", url=f"http://{settings.metrics_host}:{server.port}/metrics")
    try:
        yield
    finally:
        server.stop()
