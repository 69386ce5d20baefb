"""Media leave by themselves: once a day one process looks, as the command `spanfold retention media` does.

Which process that is, whoever starts this says (`mine`); should two look, that harms nothing. When it was done last is
remembered beside the media, so that a process that is started often looks no more often, and one that is not, no less.
How it fails: a store, a registry or a blob store that does not answer is asked again an hour later, and told of.
Configured by `media_interval` (0: never).
"""

import asyncio
import threading
import time
from collections.abc import Callable

import structlog

from pipeline.blobs import MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics
from pipeline.ops.retention.media import Sweep, Swept
from pipeline.ops.retention.rules import read_rules
from pipeline.registry import open_registry
from pipeline.store.client import connect

log = structlog.get_logger(__name__)

LOOKS = 3_600.0  # seconds between two looks at whether it is time
FIRST = 60.0  # seconds until the first one: whoever starts has other things to do
ANSWER_WITHIN = 30.0  # seconds for a query: a process that stops waits for one that is under way


async def sweep_media(settings: Settings, metrics: Metrics, mine: Callable[[], bool]) -> None:
    """Sweep for ever, while it is `mine` to do so. Returns at once where the settings want none."""
    if not settings.media_interval:
        return
    wait = min(FIRST, settings.media_interval)
    while True:
        await asyncio.sleep(wait)
        wait = min(LOOKS, settings.media_interval)
        if not mine():
            continue
        try:
            await _sweep_once(settings, metrics, mine)
        except Exception as error:  # stores behind fsspec have errors of their own; nobody else may suffer from them
            log.warning("media_not_swept", error=str(error)[:500] or type(error).__name__)


async def _sweep_once(settings: Settings, metrics: Metrics, mine: Callable[[], bool]) -> None:
    """In a thread, which ends soon after this is cancelled."""
    ended = threading.Event()
    try:
        for swept in await asyncio.to_thread(_sweep, settings, lambda: ended.is_set() or not mine()):
            metrics.add(Metric.MEDIA_REMOVED, swept.removed)
    finally:
        ended.set()


def _sweep(settings: Settings, stop: Callable[[], bool]) -> list[Swept]:
    """Once, if it is time."""
    store = MediaStore(open_blobs(settings.blobs))
    if time.time() - store.swept_at() < settings.media_interval:
        return []
    registry = open_registry(settings.registry)
    try:
        rules = read_rules(registry)
    finally:
        registry.close()
    client = connect(settings, timeout=ANSWER_WITHIN)
    try:
        swept = Sweep(client, store, rules, stop=stop).run()
    finally:
        client.close()
    if not stop():
        store.remember_sweep(time.time())
    for each in swept:
        if each.removed or each.orphans:
            log.info(
                "media_removed", project=each.project_id, media=each.removed, bytes=each.bytes, orphans=each.orphans
            )
    return swept
