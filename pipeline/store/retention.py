"""How long rows stay: which table goes by which kind of retention, and the moment from which a row may leave.

Rule: a row leaves at the first midnight (UTC) after it has been kept for its days. All rows of a project and a day so
expire in one moment, and where all projects keep the same days, a partition is dropped whole and never rewritten.
`expires_at` is a function of a time that never changes and of the retention that held when the row was written; it is
bookkeeping, like `updated_at`, and in no key. What is pinned, or kept 0 days, never expires.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

DAY_MICROS = 86_400_000_000
DAY_SECONDS = 86_400
FOREVER = 4_291_660_800  # 2105-12-31 00:00:00 UTC, near the end of what a DateTime can say
LONGEST = 36_500  # days


class Kind(StrEnum):
    """What a project may keep for different lengths of time."""

    ARCHIVE = "archive"
    ROWS = "rows"
    DEAD_LETTERS = "dead-letters"
    COST_HISTORY = "cost-history"
    LEDGER = "ledger"  # of no project: the setting `ledger_days` says it


DEFAULT_DAYS: Mapping[Kind, int] = {
    Kind.ARCHIVE: 90,
    Kind.ROWS: 0,
    Kind.DEAD_LETTERS: 90,
    Kind.COST_HISTORY: 400,
    Kind.LEDGER: 400,
}
"""What holds where the registry says nothing, in days; 0: for ever."""


OWN_TIME = (
    "multiIf(score_group = '', first_seen, is_deleted = 1, updated_at, greatest(first_seen, least(at, updated_at)))"
)
"""Of a score without a trace: its own, which no client's clock moves before its group's first or past the row's making.
What takes a score back stays as long as what it hides. As stream/rows.py writes it."""


RANGES_STAY = 1
"""Days that what was stored stays longer than what was accepted: else its minutes would miss it on their last day."""


class Bounded(NamedTuple):
    """A table whose rows leave: `since` is the column, or the expression, that their days count from."""

    table: str
    kind: Kind
    since: str
    traced: bool = True  # has a trace_id, so rows of it can be pinned
    owned: bool = True  # has a project_id
    more: int = 0  # days beyond those of its kind


BOUNDED: tuple[Bounded, ...] = (
    Bounded("raw_events", Kind.ARCHIVE, "timestamp"),  # from when the event came: a late one is kept as long as others
    Bounded("traces_rows", Kind.ROWS, "first_seen"),
    Bounded("observations_rows", Kind.ROWS, "first_seen"),
    Bounded("scores_rows", Kind.ROWS, OWN_TIME),
    Bounded("cost_history_rows", Kind.COST_HISTORY, "repriced_at"),
    Bounded("dead_letters_rows", Kind.DEAD_LETTERS, "failed_at", traced=False),
    Bounded("offset_ranges", Kind.LEDGER, "stored_at", traced=False, owned=False, more=RANGES_STAY),
    Bounded("edge_counts", Kind.LEDGER, "published_at", traced=False, owned=False),
)


def expiry(since: int, days: int) -> int:
    """When what began at `since` (microseconds) and is kept `days` may leave, in seconds since the epoch."""
    if days <= 0:
        return FOREVER
    return min((since // DAY_MICROS + 1 + days) * DAY_SECONDS, FOREVER)


def expiry_sql(bounded: Bounded, days: str) -> str:
    """The same as an SQL expression over a row; `days` is an expression, too."""
    midnight = f"(intDiv(toUnixTimestamp64Micro({bounded.since}), {DAY_MICROS}) + 1 + {days}) * {DAY_SECONDS}"
    return f"toDateTime(if({days} <= 0, {FOREVER}, least({midnight}, {FOREVER})), 'UTC')"
