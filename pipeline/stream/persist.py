"""Asking the store a question until it answers: reads wait and try again for ever, like writes."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from pipeline.metrics import UNSEEN, Metric, Metrics

log = structlog.get_logger(__name__)
T = TypeVar("T")

LONGEST_WAIT = 10.0
RETRYABLE = (ClickHouseError, HTTPError, OSError)


class Cancelled(Exception):
    """Nobody needs the answer any more: the partition it was for was revoked."""


async def ask_store(
    question: Callable[[], T],
    unneeded: Callable[[], bool],
    metrics: Metrics = UNSEEN,
    *,
    threads: Executor | None = None,
) -> T:
    """The answer of a blocking question, however long it takes. Raises Cancelled once `unneeded`."""
    wait = 0.1
    while not unneeded():
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, question)
        except RETRYABLE as error:
            metrics.add(Metric.READ_RETRIES)
            log.warning("store_read_failed", error=str(error)[:500], retry_in=wait)
        await asyncio.sleep(wait * (0.5 + random.random() / 2))  # noqa: S311  # jitter, not a secret
        wait = min(wait * 2, LONGEST_WAIT)
    raise Cancelled
