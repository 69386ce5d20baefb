"""Whether a process is alive and whether it is ready, as answers to HTTP.

Rule: a check is a function that says what is wrong, in a sentence, or nothing. All checks of a question are asked each
time; none may wait. 200 with `{"status": "OK"}` where none complains, else 503 with every complaint. Live is what a
restart may cure; ready is what waiting may cure. A process that is not live is not ready either. What is worth knowing
and no reason to send nobody here is a note: it is told in `notes` and changes no status.
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

    def __init__(self, live: Sequence[Check], ready: Sequence[Check], notes: Sequence[Check] = ()) -> None:
        self._live, self._ready, self._notes = live, ready, notes

    def live(self) -> Answer:
        """Does it move at all?"""
        return _answer(self._live)

    def ready(self) -> Answer:
        """Does it do its work?"""
        return _answer([*self._live, *self._ready], self._notes)


def _answer(checks: Sequence[Check], notes: Sequence[Check] = ()) -> Answer:
    wrong, noted = ([complaint for check in some if (complaint := check())] for some in (checks, notes))
    told = {"status": "failing" if wrong else "OK", "version": __version__}
    more = {name: some for name, some in (("reasons", wrong), ("notes", noted)) if some}
    return Answer(503 if wrong else 200, json.dumps({**told, **more}).encode(), "application/json")
