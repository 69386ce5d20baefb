"""How long to wait before an insert is sent again, and when to say so.

Rule: exponential backoff with full jitter (a random share of a growing bound), so that workers that failed together
do not come back together. One log line when a table starts to fail and one when it takes rows again, not one a try.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

OnRetry = Callable[[str, Exception, float], None]  # table, what failed, seconds until the next try


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the wait, in seconds."""

    first: float = 0.1
    most: float = 10.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failure number `attempt` (from 0)."""
        bound = min(self.most, self.first * 2 ** min(attempt, 32))
        return random.uniform(bound / 20, bound)  # noqa: S311 a delay is no secret


class Outages:
    """Which tables fail at the moment; logs when that changes."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def failed(self, table: str, error: Exception) -> None:
        """An insert into `table` failed and will be sent again."""
        if table not in self._since:
            self._since[table] = time.monotonic()
            log.warning("store_unavailable", table=table, error=str(error), remedy="Retried until it succeeds.")

    def stored(self, table: str) -> None:
        """An insert into `table` succeeded."""
        if since := self._since.pop(table, None):
            log.info("store_recovered", table=table, seconds=round(time.monotonic() - since, 3))
