"""The state of one trace: its distinct events, taken in one by one, in any order.

`TraceState.add` says what an event was: new, a duplicate, or the redelivery of one that is already in (the same event
at the same offset, after a restart: its rows may not have been written, so it makes the trace due for writing again).
"""

from enum import Enum, auto
from typing import cast

from pipeline.events.keys import is_trace
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.events.priced import Priced
from pipeline.fold.hierarchy import Place
from pipeline.fold.layers import Layers, Stamp

_CARRIED = frozenset({"trace_name", "user_id", "session_id", "release", "tags", "public"})
_SCORE, _TRACE = Kind.SCORE, Kind.TRACE  # an enum's members are slow to look up


class Seen(Enum):
    """What adding an event found."""

    NEW = auto()
    DUPLICATE = auto()
    REDELIVERED = auto()


class ObservationState:
    """One observation: its opinions, and what was last made of them."""

    __slots__ = ("fields", "first_at", "layers", "place", "priced")

    def __init__(self, first_at: Micros) -> None:
        self.layers = Layers()
        self.first_at = first_at
        self.fields: Fields = {}  # merged, while the observation is not in `touched`
        self.priced: Priced | None = None
        self.place: Place | None = None  # as last written


class TraceState:
    """All that is known of one trace (or of one group of scores without a trace)."""

    __slots__ = (
        "attributes", "carried", "conflicting", "derived", "epoch", "first_at", "first_seen", "latest_at",
        "observations", "project_id", "revision", "scores", "seen", "size", "stated", "touched", "touched_scores",
        "trace", "trace_id",
    )  # fmt: skip

    def __init__(self, project_id: str, trace_id: str, first_seen: Micros) -> None:
        self.project_id = project_id
        self.trace_id = trace_id
        self.first_seen = first_seen
        self.seen: dict[str, tuple[bytes, int]] = {}  # event id -> (identity, offset); see `_remember`
        self.trace = Layers()
        self.carried = Layers()  # trace attributes that observations carry
        self.stated = False  # a trace event has arrived
        self.observations: dict[str, ObservationState] = {}
        self.scores: dict[str, Layers] = {}
        self.touched: set[str] = set()  # observations whose `fields` are out of date
        self.touched_scores: set[str] = set()
        self.attributes: tuple[object, ...] = ()  # trace attributes as last written on the observations
        self.epoch = 0  # of the price book that the rows were last built with
        self.conflicting = False
        self.derived = False
        self.revision = 0  # distinct events that are no scores: what evaluation results are numbered by
        self.latest_at = Micros(0)  # the newest event time among those
        self.first_at: Micros | None = None  # the oldest event time of all events
        self.size = 0  # bytes of the events taken in

    @property
    def event_count(self) -> int:
        """Distinct events folded so far."""
        return len(self.seen)

    @property
    def has_trace_row(self) -> bool:
        """False for groups of scores that belong to a session or a dataset run."""
        return is_trace(self.trace_id) or self.revision > 0

    def add(self, event: Event, identity: bytes, offset: int, size: int) -> Seen:
        """Fold one event in. `identity` is keys.event_identity, `offset` its place in the trace's partition."""
        seen = self._remember(event.event_id, identity, offset)
        if seen is not Seen.NEW:
            return seen
        self.size += size
        self.derived |= event.derived_trace
        self.first_at = event.at if self.first_at is None else min(self.first_at, event.at)
        stamp = (event.at, event.event_id, identity)
        if event.kind is _SCORE:
            self.scores.setdefault(event.entity_id, Layers()).add(stamp, event.fields)
            self.touched_scores.add(event.entity_id)
            return seen
        self.revision += 1
        self.latest_at = max(self.latest_at, event.at)
        if event.kind is _TRACE:
            self.stated = True
            self.trace.add(stamp, event.fields)
        else:
            self._add_observation(event, stamp)
        return seen

    def _remember(self, event_id: str, identity: bytes, offset: int) -> Seen:
        """An event's identity is its id and its bytes; a second content under one id is kept under an extended id."""
        known = self.seen.get(event_id)
        if known is not None and known[0] != identity:
            self.conflicting = True
            event_id = f"{event_id}\x00{identity.hex()}"
            known = self.seen.get(event_id)
        if known is None:
            self.seen[event_id] = (identity, offset)
            return Seen.NEW
        return Seen.REDELIVERED if known[1] == offset else Seen.DUPLICATE

    def _add_observation(self, event: Event, stamp: Stamp) -> None:
        observation = self.observations.get(event.entity_id)
        if observation is None:
            observation = self.observations[event.entity_id] = ObservationState(event.at)
        elif event.at < observation.first_at:
            observation.first_at = event.at
        observation.layers.add(stamp, event.fields)
        self.touched.add(event.entity_id)
        if not _CARRIED.isdisjoint(event.fields):
            carried = {name: value for name, value in event.fields.items() if name in _CARRIED}
            self.carried.add(stamp, cast(Fields, carried))
