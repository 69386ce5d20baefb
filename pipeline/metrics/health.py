"""Whether a process is alive and whether it is ready, as answers to HTTP.

Rule: a check is a function that says what is wrong, in a sentence, or nothing. All checks of a question are asked each
time; none may wait. 200 with `{"status": "OK"}` where none complains, else 503 with every complaint. Live is what a
restart may cure; ready is what waiting may cure. A process that is not live is not ready either.
"""

import json
from collections.abc import Callable, Sequence

from pipeline import __version__
from pipeline.metrics.server import Answer

LIVE = "/health/live"
READY = "/health/ready"
Check = Callable[[], str]  # what is wrong; empty where nothing is


class Health:
    """The checks of one process."""

    def __init__(self, live: Sequence[Check], ready: Sequence[Check]) -> None:
        self._live, self._ready = live, ready

    def live(self) -> Answer:
        """Does it move at all?"""
        return _answer(self._live)

    def ready(self) -> Answer:
        """Does it do its work?"""
        return _answer([*self._live, *self._ready])


def _answer(checks: Sequence[Check]) -> Answer:
    wrong = [complaint for check in checks if (complaint := check())]
    told = {"status": "failing" if wrong else "OK", "version": __version__, **({"reasons": wrong} if wrong else {})}
    return Answer(503 if wrong else 200, json.dumps(told).encode(), "application/json")
