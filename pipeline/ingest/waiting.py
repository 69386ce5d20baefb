"""Requests that wait for us, and a word in time where they are too many.

Problem: a front door that is sent more than it can take, but lets everybody in, makes all of them wait until their
clients give up, and has then worked for nobody; `/health` waits with them. Rule: a request that was read is put down
until it is answered; where CROWD of them have waited for SPANFOLD_CROWD_WAIT seconds, new ones are answered 503 and
Retry-After at once, before they are read and again before they are judged, until the oldest of them are answered.
A few that are slow, for whatever reason, refuse nobody. What is still being read does not count: a client that sends
slowly keeps no one out.
Failure: ApiError (503), with nothing of the request taken.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from pipeline.ingest.answers import unavailable

CROWD = 32  # of 50 events each: less than a tenth of a second's work on an idle core, too few to judge by below that


class Waiting:
    """The requests that were read and are not answered. Lives in one event loop."""

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest  # seconds; 0: nobody is refused
        self._clock = clock
        self._since: dict[object, float] = {}  # the oldest first

    @contextmanager
    def answering(self) -> Iterator[None]:
        """For as long as a request that was read is not answered. Raises ApiError (503)."""
        self.check()
        request = object()
        self._since[request] = self._clock()
        try:
            yield
        finally:
            del self._since[request]

    def check(self) -> None:
        """Raise ApiError (503) while a crowd waits for too long."""
        youngest_of_crowd = next(islice(self._since.values(), CROWD - 1, None), None)
        if self._longest and youngest_of_crowd is not None and self._clock() - youngest_of_crowd > self._longest:
            raise unavailable(f"{len(self._since)} requests wait already.")
