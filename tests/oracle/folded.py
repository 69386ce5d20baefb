"""The fold under test, as the oracle's tests drive it. All that tests/property knows of pipeline.fold's API is here."""

from random import Random

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Micros
from pipeline.fold.build import EVERYTHING, Want, build, rest
from pipeline.fold.state import Seen, TraceState
from pipeline.stream.rows import Rows, add_rows
from tests.oracle.fold import Known, Views
from tests.oracle.table import Table

PRICE = ObservationPricer()
FEATURES: frozenset[str] = frozenset({"duplicate_usage", "tombstones"})
"""Rules of the oracle that the fold keeps as well."""

Name = tuple[str, str]


class FoldedTraces:
    """The traces of one worker, and the store that it writes to. An event's offset is its place in the log."""

    def __init__(self, table: Table | None = None) -> None:
        self.table = table or Table()
        self._states: dict[Name, TraceState] = {}
        self._unwritten: set[Name] = set()
        self._now = 1

    def take(self, known: Known, offset: int) -> bool:
        """Fold an event in; True where it changed something."""
        self._now += 1
        name = known.event.project_id, known.event.trace_id
        seen = self._state(name).add(known.event, known.identity, offset, 100, Micros(self._now))
        if seen is not Seen.DUPLICATE:
            self._unwritten.add(name)
        return seen is Seen.NEW

    def write(self, chance: Random | None = None) -> None:
        """Write what has to be written of every trace, or a part of it by chance."""
        for name in sorted(self._unwritten):
            want = EVERYTHING
            if chance is not None and chance.random() < 0.6:
                want = Want(False, Micros(self._now - chance.randrange(5)))
            state, rows = self._states[name], Rows([], [], [])
            built = build(state, PRICE, want)
            add_rows(rows, state, built, settled=False, now=Micros(self.table.written))
            for some in rows:
                self.table.write(some)
            if built.complete:
                self._unwritten.discard(name)

    def read_back(self, archive: list[tuple[Known, int]]) -> "FoldedTraces":
        """Another worker that has the archive only, in some order. Of what was not written all is in doubt."""
        after = FoldedTraces(self.table)
        for known, offset in archive:
            name = known.event.project_id, known.event.trace_id
            after._state(name).restore(known.event, known.identity, offset, 100)
        for name, state in after._states.items():
            rest(state, PRICE)
            state.rewrite = name in self._unwritten
        after._unwritten |= self._unwritten
        return after

    def views(self) -> Views:
        """What the views show now."""
        return self.table.views()

    def _state(self, name: Name) -> TraceState:
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = TraceState(*name, Micros(1))
        return state
