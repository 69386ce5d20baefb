"""Traces in the archive that our own code fails on when they are read back (what is done then: stream/spoilt.py).

Rule: an event that the fold fails on is left out, as one that cannot be decoded is: it is a dead letter already, and
the rows are made without it. What fails has left the trace's state half changed, so the trace is folded anew, without
it; what fails on an empty state, too, is found in the same turn. After `MOST_TURNS` the trace is given up.
"""

from pipeline.events.priced import Pricer
from pipeline.fold.build import rest
from pipeline.fold.state import TraceState
from pipeline.store.lookups import RawEvent, TraceKey
from pipeline.stream.archived import take
from pipeline.stream.spoilt import tell

MOST_TURNS = 20


class Spoilt:
    """What failed in one question to the archive."""

    def __init__(self) -> None:
        self._skipped: set[tuple[TraceKey, str, bytes]] = set()
        self._now: dict[TraceKey, Exception] = {}  # failed in this turn
        self._turns: dict[TraceKey, int] = {}
        self._given_up: dict[TraceKey, Exception] = {}

    def note(self, raw: RawEvent, error: Exception) -> None:
        """This event failed."""
        name = (raw.project_id, raw.trace_id)
        tell(error, "read_back", name)
        self._skipped.add(_which(raw))
        self._now[name] = error

    def skips(self, raw: RawEvent) -> bool:
        """True for an event that is left out, or whose trace has failed in this turn."""
        if not self._skipped:
            return False
        name = (raw.project_id, raw.trace_id)
        if name in self._given_up or _which(raw) in self._skipped:
            return True
        if name not in self._now:
            return False
        try:
            take(TraceState(*name, raw.first_seen), raw)
        except Exception as error:
            self.note(raw, error)
        return True

    def to_read_again(self) -> list[TraceKey]:
        """The traces that failed in this turn; the next one begins. One that is given up stays as it is."""
        failed, self._now = self._now, {}
        for name, error in failed.items():
            self._turns[name] = self._turns.get(name, 0) + 1
            if self._turns[name] >= MOST_TURNS:
                self._given_up[name] = error
        return [name for name in failed if name not in self._given_up]

    def give_up(self, name: TraceKey, error: Exception) -> None:
        """Nothing helps: the rows that stand for lost events failed."""
        tell(error, "read_back", name)
        self._given_up[name] = error

    def error(self, name: TraceKey) -> Exception | None:
        """Why a trace was given up; its state is not to be used."""
        return self._given_up.get(name)


def rested(state: TraceState, price: Pricer) -> Exception | None:
    """As build.rest; what it failed with."""
    try:
        rest(state, price)
    except Exception as error:
        tell(error, "read_back", (state.project_id, state.trace_id))
        return error
    return None


def _which(raw: RawEvent) -> tuple[TraceKey, str, bytes]:
    return (raw.project_id, raw.trace_id), raw.event_id, raw.identity
