"""What the fold says about the entities of a trace, ready for their rows. Times in microseconds, money in USD."""

from decimal import Decimal
from typing import NamedTuple

from pipeline.events.model import Fields, Micros
from pipeline.events.priced import Priced
from pipeline.fold.attributes import Attributes


class ObservationView(NamedTuple):
    """One observation and its place.

    `path` has the ids from the root, its own last; where `depth` is tree.MAX_PATH or more, only the last ones of them.
    """

    observation_id: str
    fields: Fields
    type: str
    start_time: Micros
    level: str
    priced: Priced
    depth: int
    path: list[str]
    child_count: int
    subtree_cost: Decimal | None
    subtree_tokens: int
    orphan: bool
    flags: list[str]


class ScoreView(NamedTuple):
    """One score; `at` is the event time of its newest opinion."""

    score_id: str
    fields: Fields
    at: Micros


class TraceView(NamedTuple):
    """The trace's own row; money in USD, None where no observation's cost is known."""

    fields: Fields
    start_time: Micros
    end_time: Micros | None
    latency: Micros | None
    level: str
    status: str
    error_count: int
    observation_count: int
    usage: dict[str, int]
    total_tokens: int
    cost: dict[str, Decimal]
    total_cost: Decimal | None
    root: str
    flags: list[str]
    deleted: bool = False


class Built(NamedTuple):
    """What has to be written: the trace's row where it is due, rows of observations and scores, rows to take back.

    `complete` says that nothing of the trace is left unwritten then; `ended` that no more is expected; `caught_up`
    that, though it is not complete, nothing is left that was unwritten when the round began (fold/catch_up.py).
    """

    trace: TraceView | None
    attributes: Attributes
    observations: list[ObservationView]
    scores: list[ScoreView]
    gone_observations: list[str]
    gone_scores: list[str]
    ended: bool
    complete: bool
    caught_up: bool = False
