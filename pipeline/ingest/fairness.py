"""The overflow: what one project sends beyond its share goes where it does not stand in front of others.

Problem: a partition is read in order. Events of a flood lie in every partition before those of everybody else, and
where there are more than workers can fold, all projects wait for the one (I8).
Rule: up to SPANFOLD_FAIR_EVENTS a second of a project go to the events topic; while it sends more, its requests go to
the overflow topic as wholes, from where workers take them when they have nothing else to do (stream/overflow.py).
They are as safe there, and later. A project that is alone is in nobody's way: it overflows only where another one sent
something in the last ALONE_AFTER seconds. As all limits, this one holds for each front door process.
Memory: the projects of the last requests.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from pipeline.config import Settings
from pipeline.ingest.rates import REMEMBERED, Bucket

ALONE_AFTER = 10.0  # seconds
BURST = 1.0  # seconds' worth that may come at once: a flood's first second stands in front of others, not more


class Fairness:
    """Decides for each request. Lives in one event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = settings.fair_events
        self._clock = clock
        self._projects: OrderedDict[str, tuple[Bucket, float]] = OrderedDict()  # and when it sent last, latest last

    def overflows(self, project_id: str, events: int) -> bool:
        """Whether this request goes to the overflow; what does not is charged."""
        if not self._rate:
            return False
        now = self._clock()
        bucket, _ = self._projects.get(project_id) or (Bucket(self._rate, BURST, now), now)
        self._projects[project_id] = (bucket, now)
        self._projects.move_to_end(project_id)
        if len(self._projects) > REMEMBERED:
            self._projects.popitem(last=False)
        if bucket.wait(now) > 0 and not self._is_alone(now):
            return True
        bucket.take(events, now)
        return False

    def _is_alone(self, now: float) -> bool:
        """True where the project that sends now is the only one."""
        latest = reversed(self._projects.values())
        next(latest)  # itself
        _, other = next(latest, (None, now - ALONE_AFTER))
        return now - other >= ALONE_AFTER
