"""Which row type goes to which table, and the ClickHouse type of every column, taken from the rows' annotations."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, get_type_hints

from pipeline.store.dead_letter_rows import DeadLetterRow, DeadLetterStateRow
from pipeline.store.replay_rows import ReplayRunRow
from pipeline.store.reprice_rows import CostHistoryRow, RepriceValueRow
from pipeline.store.rows import EdgeCountRow, ObservationRow, OffsetRangeRow, RawEventRow, ScoreRow, TraceRow

RAW_EVENTS = "raw_events"
TRACES = "traces_rows"
OBSERVATIONS = "observations_rows"
SCORES = "scores_rows"
OFFSET_RANGES = "offset_ranges"
EDGE_COUNTS = "edge_counts"
COST_HISTORY = "cost_history_rows"
REPRICE_VALUES = "reprice_values"
DEAD_LETTERS = "dead_letters_rows"
DEAD_LETTER_STATES = "dead_letter_states"
REPLAY_RUNS = "replay_runs"


@dataclass(frozen=True, slots=True)
class Table:
    """A storage table: `columns` maps each column that rows fill, in order, to its ClickHouse type."""

    name: str
    row: type[NamedTuple]
    columns: Mapping[str, str]


def _table(name: str, row: type[NamedTuple]) -> Table:
    hints = get_type_hints(row, include_extras=True)
    return Table(name, row, MappingProxyType({column: hint.__metadata__[0] for column, hint in hints.items()}))


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            _table(RAW_EVENTS, RawEventRow),
            _table(TRACES, TraceRow),
            _table(OBSERVATIONS, ObservationRow),
            _table(SCORES, ScoreRow),
            _table(OFFSET_RANGES, OffsetRangeRow),
            _table(EDGE_COUNTS, EdgeCountRow),
            _table(COST_HISTORY, CostHistoryRow),
            _table(REPRICE_VALUES, RepriceValueRow),
            _table(DEAD_LETTERS, DeadLetterRow),
            _table(DEAD_LETTER_STATES, DeadLetterStateRow),
            _table(REPLAY_RUNS, ReplayRunRow),
        )
    }
)
