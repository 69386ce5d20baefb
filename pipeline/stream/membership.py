"""A static membership that somebody else takes: two workers were given the same SPANFOLD_INSTANCE_ID.

Kafka gives such a membership to whoever joined last; the other finds itself unknown, joins again, and takes it back:
for ever, in turns, with nothing lost and little done. Once may be an accident. Twice within a short time is a twin:
then this worker ends with an error that says so, and the other goes on alone.
A worker that stood still finds itself unknown, too. So it tells when it is alive, at every poll; what it lost after it
had not polled for half a session timeout is no twin's.
"""

from collections import deque

TWICE = 2
SESSIONS = 6.0  # session timeouts within which the second loss follows the first where there is a twin


class Membership:
    """Counts how often this worker lost its static membership."""

    def __init__(self, instance_id: str, session_timeout: float) -> None:
        self.instance_id = instance_id
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
        """The membership is gone, at a time in seconds; True where a twin must have it."""
        self.alive(now)
        if not self.instance_id or now - self._stood_still < self._session:
            return False
        self._losses.append(now)
        return len(self._losses) == TWICE and now - self._losses[0] <= self._within

    @property
    def complaint(self) -> str:
        """What to tell people."""
        return (
            f"Another worker has the same SPANFOLD_INSTANCE_ID, {self.instance_id!r}: Kafka gives the partitions to "
            "one and then to the other. Give each worker an id of its own, such as its host or pod name."
        )
