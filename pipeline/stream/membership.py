"""A static membership that somebody else takes: two workers were given the same SPANFOLD_INSTANCE_ID.

Kafka gives such a membership to whoever joined last; the other finds itself unknown, joins again, and takes it back:
for ever, in turns, with nothing lost and little done. Once may be an accident. Twice within a short time looks like a
twin, and then the group is asked (twin.py): if another process has the membership, this worker ends with an error that
says so, and the other goes on alone; if nobody has, the network was cut, and the losses are forgotten.
A worker that stood still finds itself unknown, too. So it tells when it is alive, at every poll; what it lost after it
had not polled for half a session timeout is no twin's.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection

Ask = Callable[[], Awaitable[Collection[str]]]
"""Hosts of other processes that have the membership now."""

TWICE = 2
SESSIONS = 6.0  # session timeouts within which the second loss follows the first where there is a twin


class Membership:
    """Counts how often this worker lost its static membership."""

    def __init__(self, instance_id: str, session_timeout: float, ask: Ask) -> None:
        self.instance_id, self._ask = instance_id, ask
        self._session, self._within = session_timeout, SESSIONS * session_timeout
        self._alive: float | None = None
        self._stood_still = float("-inf")  # when that ended
        self._losses: deque[float] = deque(maxlen=TWICE)

    def alive(self, now: float) -> None:
        """It polls; `now` in seconds."""
        if self._alive is not None and now - self._alive > self._session / 2:
            self._stood_still = now
        self._alive = now

    def lost(self, now: float) -> bool:
        """The membership is gone, at a time in seconds; True where a twin may have it."""
        self.alive(now)
        if not self.instance_id or now - self._stood_still < self._session:
            return False
        self._losses.append(now)
        return len(self._losses) == TWICE and now - self._losses[0] <= self._within

    async def complaint(self, now: float) -> str:
        """The membership is gone: what to tell people if a twin has it, "" if none has."""
        if not self.lost(now):
            return ""
        hosts = await self._ask()
        if not hosts:
            self._losses.clear()
            return ""
        return (
            f"Another worker has the same SPANFOLD_INSTANCE_ID, {self.instance_id!r} (at {', '.join(sorted(hosts))}): "
            "Kafka gives the partitions to one and then to the other. Give each worker an id of its own, such as its "
            "host or pod name."
        )
