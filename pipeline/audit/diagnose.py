"""What is wrong with a trace: its stored rows against those that its archived events make. Pure.

`right` are the keys of the rows that the events make, `stored` the newest row under every key of the trace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pipeline.store.lookups import TraceKey
from pipeline.store.rows import EPOCH_STEP

HOUR = 3_600_000_000  # microseconds


class Divergence(StrEnum):
    """A way in which rows and archive differ; the comment is its documentation."""

    MISSING_EVENTS = "missing_events"  # the trace's row was made from fewer events than are archived, or there is none
    OVERCOUNTED = (
        "overcounted"  # a row claims more events than are archived: the archive lost some, or the row is wrong
    )
    SPLIT = "split"  # rows under another hour of first_seen than the archive has: two keys, so the trace shows twice
    MISSING_ROWS = "missing_rows"  # an observation or a score that is archived has no row
    OTHER_CONTENTS = "other_contents"  # a row says something else than its events do, though it counts them right
    LEFT_OVER = "left_over"  # a row of an observation or a score of which no event is archived, or that was deleted


class Key(NamedTuple):
    """A row's place: its table by kind (trace, observation, score), its id and the hour of first_seen (seconds)."""

    kind: str
    id: str
    hour: int


class Stored(NamedTuple):
    """The newest row under a key."""

    key: Key
    row_version: int
    deleted: bool
    settled: bool
    expired: bool  # it stands on stored rows in place of events that the archive no longer keeps
    first_seen: int  # microseconds

    @property
    def events(self) -> int:
        """What it was made from."""
        return self.row_version % EPOCH_STEP // 2


@dataclass(slots=True)
class Right:
    """What the archived events make: how many they are, the keys of rows that show, and of rows that are taken back."""

    events: int
    first_seen: int  # microseconds
    shown: set[tuple[str, str]] = field(default_factory=set)  # (kind, id)

    @property
    def hour(self) -> int:
        """Of first_seen, in seconds."""
        return self.first_seen // HOUR * 3600


@dataclass(slots=True)
class Diagnosis:
    """A trace with what is wrong with it; without `divergences` it is right. `stray` rows have to be taken back."""

    name: TraceKey
    archived: int
    told: int  # events that its newest trace row was made from; of scores without a trace, their newest row
    divergences: list[Divergence]
    stray: list[Stored] = field(default_factory=list)
    settled: bool = False  # what was asked about this very set of events need not be asked again
    columns: list[str] = field(default_factory=list)  # of which rows say something else, as observation.name


def diagnose(name: TraceKey, right: Right, stored: Sequence[Stored], columns: Sequence[str] = ()) -> Diagnosis:
    """Compare; `columns` are those of which the contents were found to differ."""
    here = [row for row in stored if row.key.hour == right.hour]
    live = {(row.key.kind, row.key.id): row for row in here if not row.deleted}
    away = [row for row in stored if row.key.hour != right.hour and not row.deleted]
    told = _told(here, name)
    found: list[Divergence] = []
    if told < right.events:
        found.append(Divergence.MISSING_EVENTS)
    if any(row.events > right.events for row in stored):
        found.append(Divergence.OVERCOUNTED)
    if away:
        found.append(Divergence.SPLIT)
    if {key for key in right.shown if key[0] != "trace"} - live.keys():
        found.append(Divergence.MISSING_ROWS)
    if columns and not found:  # else they differ because of that
        found.append(Divergence.OTHER_CONTENTS)
    over = [row for key, row in live.items() if key not in right.shown]
    if over:
        found.append(Divergence.LEFT_OVER)
    settled = any(row.settled and row.key.kind == "trace" and row.events == right.events for row in here)
    return Diagnosis(name, right.events, told, found, over + away, settled, list(columns))


def _told(rows: Iterable[Stored], name: TraceKey) -> int:
    """The trace row tells, or of scores without a trace the newest of them."""
    of_trace = [row.events for row in rows if row.key.kind == "trace"]
    if of_trace:
        return max(of_trace)
    if name[1].startswith(("session:", "run:")):
        return max((row.events for row in rows), default=0)
    return 0
