"""Rate limits per project: requests, events and bytes a second, each a bucket of tokens.

Problem: one project that sends without measure takes the broker from all others (I8). How many events a request holds
is known only after it was read and judged. Rule: a request passes while none of its project's buckets is in debt, and
is charged afterwards what it cost, be that more than the bucket holds; so a large batch is never impossible, and the
next ones wait until its debt is paid. Buckets hold `burst` seconds' worth and refill evenly.
The limits are those of the project in the registry, where it has none those of the settings; 0 is no limit. They hold
for each front door process: with n of them a project may send n times as much.
Failure: 429 with Retry-After and X-RateLimit-* of the emptiest bucket. Memory: the projects of the last requests.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from pipeline.config import Settings
from pipeline.ingest.answers import ApiError
from pipeline.registry import Project, RateLimits

REMEMBERED = 10_000  # projects
NAMES = ("requests", "events", "bytes")


class Bucket:
    """Tokens that refill with time; may be in debt. A rate of 0 is no limit."""

    __slots__ = ("_at", "_burst", "_level", "rate")

    def __init__(self, rate: int, burst_seconds: float, now: float) -> None:
        self.rate = rate
        self._burst = rate * burst_seconds
        self._level = self._burst
        self._at = now

    def take(self, tokens: int, now: float) -> None:
        """Charge, whatever is there."""
        if self.rate:
            self._level = self._at_time(now) - tokens
            self._at = now

    def wait(self, now: float) -> float:
        """Seconds until it is out of debt, 0 where it is."""
        level = self._at_time(now) if self.rate else 0.0
        return -level / self.rate if level < 0 else 0.0

    def _at_time(self, now: float) -> float:
        return min(self._burst, self._level + (now - self._at) * self.rate)


class Limiter:
    """The buckets of all projects. Lives in one event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = RateLimits(settings.rate_requests, settings.rate_events, settings.rate_bytes)
        self._burst = settings.rate_burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[RateLimits, tuple[Bucket, Bucket, Bucket]]] = OrderedDict()

    def admit(self, project: Project) -> None:
        """Count a request. Raises ApiError (429) where the project has sent too much."""
        now = self._clock()
        buckets = self._of(project, now)
        waits = [bucket.wait(now) for bucket in buckets]
        longest = max(waits)
        if longest > 0:
            number = waits.index(longest)
            raise _limited(NAMES[number], buckets[number].rate, longest)
        buckets[0].take(1, now)

    def charge_events(self, project_id: str, events: int) -> None:
        """Count events that go to Kafka."""
        self._charge(project_id, 1, events)

    def charge_bytes(self, project_id: str, size: int) -> None:
        """Count bytes of a body that was read."""
        self._charge(project_id, 2, size)

    def _charge(self, project_id: str, number: int, tokens: int) -> None:
        if found := self._buckets.get(project_id):
            found[1][number].take(tokens, self._clock())

    def _of(self, project: Project, now: float) -> tuple[Bucket, Bucket, Bucket]:
        limits = self._limits(project.limits)
        found = self._buckets.get(project.id)
        if found is None or found[0] != limits:
            rates = (limits.requests or 0, limits.events or 0, limits.bytes or 0)
            requests, events, size = (Bucket(rate, self._burst, now) for rate in rates)
            found = self._buckets[project.id] = (limits, (requests, events, size))
        self._buckets.move_to_end(project.id)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return found[1]

    def _limits(self, own: RateLimits) -> RateLimits:
        """The project's, the settings' where it says nothing."""
        return RateLimits(*(theirs if mine is None else mine for mine, theirs in zip(own, self._default, strict=True)))


def _limited(what: str, rate: int, wait: float) -> ApiError:
    seconds = max(1, math.ceil(wait))
    reset = math.ceil(time.time() + wait)
    details = {"retryAfterSeconds": seconds, "limit": rate, "remaining": 0, "resetAt": reset}
    return ApiError(
        429,
        "RateLimitError",
        f"This project may send {rate} {what} a second.",
        remedy=f"Send again in {seconds} s.",
        headers={
            "Retry-After": str(seconds),
            "X-RateLimit-Limit": str(rate),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(reset),
        },
        more={"code": "rate_limited", "details": details},
    )
