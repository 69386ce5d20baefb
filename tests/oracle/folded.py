"""The fold under test, as the oracle's tests drive it. All that tests/property knows of pipeline.fold's API is here."""

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Micros
from pipeline.fold.build import build
from pipeline.fold.state import Seen, TraceState
from pipeline.stream.rows import rows_of
from tests.oracle.fold import Known, Views
from tests.oracle.table import Table

PRICE = ObservationPricer()
FEATURES: frozenset[str] = frozenset()
"""Rules of the oracle that the fold keeps as well; to come: "duplicate_usage", "tombstones"."""


class FoldedTraces:
    """The traces of one worker, and the store that it writes to. An event's offset is its place in the log."""

    def __init__(self, table: Table | None = None) -> None:
        self.table = table or Table()
        self._states: dict[tuple[str, str], TraceState] = {}

    def take(self, known: Known, offset: int) -> bool:
        """Fold an event in; True where it changed something."""
        event = known.event
        name = event.project_id, event.trace_id
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = TraceState(*name, Micros(1))
        return state.add(event, known.identity, offset, 100) is Seen.NEW

    def write(self) -> None:
        """Build every trace and write what has to be written."""
        for state in self._states.values():
            if state.event_count:
                for rows in rows_of(state, build(state, PRICE), settled=False, now=Micros(self.table.written)):
                    self.table.write(rows)

    def views(self) -> Views:
        """What the views show now."""
        return self.table.views()
