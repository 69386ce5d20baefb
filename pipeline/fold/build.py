"""From a trace's state to what its rows say: merged fields, prices, places in the tree, totals.

`build` prices the observations that events touched since the last call, places all of them anew, and returns those
whose row would differ from the one written before (plus the trace itself and the touched scores). Its result depends
on the state's set of events only; which rows are *returned* depends on what was returned before.
"""

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from pipeline.events.flags import Flag
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced, Pricer
from pipeline.fold.hierarchy import Node, Place, Tree, build_tree
from pipeline.fold.state import ObservationState, TraceState

LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
_RANK = {level: rank for rank, level in enumerate(LEVELS)}
_WITH_NUMBER = (None, "NUMERIC", "BOOLEAN")  # data types of scores whose value is a number


class Attributes(NamedTuple):
    """The trace's attributes, as written on every row of the trace."""

    name: str
    user_id: str
    session_id: str
    tags: tuple[str, ...]
    release: str
    version: str
    environment: str
    public: bool


class ObservationView(NamedTuple):
    """One observation, ready for its row; times in microseconds."""

    observation_id: str
    fields: Fields
    type: str
    start_time: Micros
    level: str
    priced: Priced
    place: Place
    flags: tuple[str, ...]


class ScoreView(NamedTuple):
    """One score; `at` is the event time of its newest opinion."""

    score_id: str
    fields: Fields
    at: Micros


class TraceView(NamedTuple):
    """The trace's own row; money in USD, None where no observation's cost is known."""

    fields: Fields
    attributes: Attributes
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
    ended: bool
    flags: tuple[str, ...]


class Built(NamedTuple):
    """What changed since the last build."""

    trace: TraceView
    observations: list[ObservationView]
    scores: list[ScoreView]


def build(state: TraceState, price: Pricer) -> Built:
    """Bring the state's views up to date and return what has to be written. Clears the marks of what was touched."""
    if state.epoch != price.epoch:
        state.touched.update(state.observations)  # another book: no row may keep the old one's price beside new ones
        state.epoch = price.epoch
    for id_ in state.touched:
        _refresh(state.project_id, state.observations[id_], price)
    tree = build_tree({id_: _node(observation) for id_, observation in state.observations.items()})
    trace_fields = state.trace.merged()
    attributes = _attributes(state, trace_fields, tree)
    rewrite_all = attributes != state.attributes
    state.attributes = attributes
    changed = []
    for id_, observation in state.observations.items():
        place = tree.places[id_]
        if rewrite_all or id_ in state.touched or place != observation.place:
            observation.place = place
            changed.append(_observation_view(id_, observation, place))
    scores = [_score_view(id_, state) for id_ in sorted(state.touched_scores)]
    state.touched.clear()
    state.touched_scores.clear()
    return Built(_trace_view(state, trace_fields, attributes, tree), changed, scores)


def start_of(observation: ObservationState) -> Micros:
    """The start time somebody gave, else the earliest event time (provisional)."""
    return observation.fields.get("start_time", observation.first_at)


def is_open(fields: Fields) -> bool:
    """True while an observation has not ended; an EVENT is a moment and never open."""
    return "end_time" not in fields and kind_of(fields) != "EVENT"


def kind_of(fields: Fields) -> str:
    """The type a create gave, else the one an update implies, else SPAN."""
    return fields.get("type") or fields.get("type_provisional") or "SPAN"


def _refresh(project_id: str, observation: ObservationState, price: Pricer) -> None:
    observation.fields = observation.layers.merged()
    observation.priced = price(project_id, observation.fields, start_of(observation))


def _node(observation: ObservationState) -> Node:
    priced = observation.priced or UNPRICED
    parent = observation.fields.get("parent_observation_id", "")
    return Node(parent, start_of(observation), priced.total_cost, priced.usage.get("total", 0))


def _attributes(state: TraceState, own: Fields, tree: Tree) -> Attributes:
    """Trace events win, then the root observation's word, then any observation's, the newest first."""
    root = state.observations[tree.root].fields if tree.root else Fields()
    any_ = state.carried.merged()
    tags = {*own.get("tags", ()), *any_.get("tags", ())}
    return Attributes(
        name=own.get("name") or root.get("trace_name") or any_.get("trace_name") or root.get("name", ""),
        user_id=own.get("user_id") or root.get("user_id") or any_.get("user_id", ""),
        session_id=own.get("session_id") or root.get("session_id") or any_.get("session_id", ""),
        tags=tuple(sorted(tags)),
        release=own.get("release") or root.get("release") or any_.get("release", ""),
        version=own.get("version") or root.get("version", ""),
        environment=own.get("environment") or root.get("environment", "default"),
        public=own.get("public", root.get("public", any_.get("public", False))),
    )


def _observation_view(id_: str, observation: ObservationState, place: Place) -> ObservationView:
    fields, priced = observation.fields, observation.priced or UNPRICED
    start = start_of(observation)
    flags = list(priced.flags)
    if place.orphan:
        flags.append(Flag.ORPHAN)
    if place.cycle_cut:
        flags.append(Flag.CYCLE_CUT)
    if "start_time" not in fields:
        flags.append(Flag.PROVISIONAL_START)
    if fields.get("end_time", start) < start:
        flags.append(Flag.NEGATIVE_DURATION)
    level = fields.get("level", "DEFAULT")
    return ObservationView(id_, fields, kind_of(fields), start, level, priced, place, tuple(sorted(flags)))


def _score_view(id_: str, state: TraceState) -> ScoreView:
    layers = state.scores[id_]
    fields = layers.merged()
    if "value" in fields and fields.get("data_type") not in _WITH_NUMBER:
        fields = fields.copy()  # the number is an older opinion's, the newest gave a string
        del fields["value"]
    return ScoreView(id_, fields, layers.latest())


def _trace_view(state: TraceState, fields: Fields, attributes: Attributes, tree: Tree) -> TraceView:
    observations = list(state.observations.values())
    starts = [start_of(o) for o in observations]
    ends = [o.fields["end_time"] for o in observations if "end_time" in o.fields]
    levels = [o.fields.get("level", "DEFAULT") for o in observations]
    errors = levels.count("ERROR")
    latency = Micros(max(ends) - min(starts)) if ends else None
    running = any(is_open(o.fields) for o in observations)
    usage, cost = _totals(observations)
    return TraceView(
        fields=fields,
        attributes=attributes,
        start_time=fields.get("start_time", min(starts, default=state.first_at or Micros(0))),
        end_time=max(ends, default=None),
        latency=latency if latency is None or latency >= 0 else None,
        level=max(levels, key=_RANK.__getitem__, default="DEFAULT"),
        status="RUNNING" if running else "ERROR" if errors else "SUCCESS",
        error_count=errors,
        observation_count=len(observations),
        usage=usage,
        total_tokens=usage.get("total", 0),
        cost=cost,
        total_cost=cost.get("total"),
        root=tree.root,
        ended=_has_ended(state, tree, running),
        flags=_trace_flags(state, tree, latency),
    )


def _totals(observations: list[ObservationState]) -> tuple[dict[str, int], dict[str, Decimal]]:
    usage: Counter[str] = Counter()
    cost: dict[str, Decimal] = {}
    for observation in observations:
        priced = observation.priced or UNPRICED
        usage.update(priced.usage)
        for key, amount in priced.cost.items():
            cost[key] = cost[key] + amount if key in cost else amount
    return dict(sorted(usage.items())), dict(sorted(cost.items()))


def _has_ended(state: TraceState, tree: Tree, running: bool) -> bool:
    """A single root tells by itself; several roots, or none, have ended when nothing is open any more."""
    if tree.root_count == 1 and not state.stated:
        return not is_open(state.observations[tree.root].fields)
    return not running


def _trace_flags(state: TraceState, tree: Tree, latency: Micros | None) -> tuple[str, ...]:
    flags = []
    if state.conflicting:
        flags.append(Flag.CONFLICTING_EVENTS)
    if state.derived:
        flags.append(Flag.DERIVED_TRACE)
    if not tree.root and not state.stated:
        flags.append(Flag.MISSING_ROOT)
    if tree.root_count > 1 and not state.stated:
        flags.append(Flag.SEVERAL_ROOTS)
    if latency is not None and latency < 0:
        flags.append(Flag.NEGATIVE_DURATION)
    return tuple(sorted(flags))
