"""From a trace's state, brought up to date, to views of its entities: what their rows will say, flags included."""

from pipeline.events.flags import Flag
from pipeline.events.keys import is_trace
from pipeline.events.model import Fields, Micros
from pipeline.fold.observation import Observation, kind_of
from pipeline.fold.state import TraceState
from pipeline.fold.tree import MAX_PATH
from pipeline.fold.views import ObservationView, ScoreView, TraceView

_WITH_NUMBER = (None, "NUMERIC", "BOOLEAN")  # data types of scores whose value is a number
_NO_FIELDS = Fields()


def observation_view(state: TraceState, node: Observation) -> ObservationView:
    """An observation as it is in its tree now."""
    fields, priced, tree = node.content(), node.priced, state.tree
    start, end, depth = node.start, node.end, tree.depth(node)
    flags: list[str] = list(priced.flags)
    if node.orphan:
        flags.append(Flag.ORPHAN)
    if node.cut:
        flags.append(Flag.CYCLE_CUT)
    if node.repeats:
        flags.append(Flag.DUPLICATE_USAGE)
    if depth >= MAX_PATH:
        flags.append(Flag.PATH_TRUNCATED)
    if "start_time" not in fields:
        flags.append(Flag.PROVISIONAL_START)
    if end is not None and end < start:
        flags.append(Flag.NEGATIVE_DURATION)
    if len(flags) > 1:
        flags.sort()
    cost, costs, tokens = node.subtree()
    return ObservationView(
        node.id,
        fields,
        kind_of(fields),
        start,
        node.level,
        priced,
        depth,
        tree.path(node),
        tree.child_count(node),
        cost if costs else None,
        tokens,
        node.orphan,
        flags,
    )


def score_views(state: TraceState) -> tuple[list[ScoreView], list[str]]:
    """Of the scores that were touched those to write, and the ids of those to take back."""
    if not state.touched_scores:
        return [], []
    views, gone = [], []
    for id_ in sorted(state.touched_scores):
        score = state.scores[id_]
        if not score:
            gone.append(id_)
            continue
        fields = score.merged()
        if "value" in fields and fields.get("data_type") not in _WITH_NUMBER:
            fields = fields.copy()  # the number is an older opinion's, the newest gave a string
            del fields["value"]
        views.append(ScoreView(id_, fields, score.latest()))
    return views, gone


def trace_view(state: TraceState, cut: bool) -> TraceView:
    """The trace's own row, from its events and what its observations amount to; `cut` as its attributes say."""
    fields = state.trace.merged() if state.trace else _NO_FIELDS
    totals, tree = state.totals, state.tree
    first, last = totals.span(tree.nodes.values())
    latency = None if first is None or last is None else Micros(last - first)
    usage, cost = totals.usage(), totals.cost()
    start = fields.get("start_time", first)
    return TraceView(
        fields=fields,
        start_time=_first_word(state) if start is None else start,
        end_time=last,
        latency=latency if latency is None or latency >= 0 else None,
        level=totals.level,
        status="RUNNING" if totals.open else "ERROR" if totals.errors else "SUCCESS",
        error_count=totals.errors,
        observation_count=totals.count,
        usage=usage,
        total_tokens=usage.get("total", 0),
        cost=cost,
        total_cost=cost.get("total"),
        root=tree.root.id if tree.root is not None else "",
        flags=_trace_flags(state, latency, cut),
        deleted=not (tree.nodes or state.trace or (is_trace(state.trace_id) and any(state.scores.values()))),
    )


def _first_word(state: TraceState) -> Micros:
    """The oldest event time of a trace without observations."""
    return min((each.first_at for each in (state.trace, *state.scores.values()) if each), default=Micros(0))


def _trace_flags(state: TraceState, latency: Micros | None, cut: bool) -> list[str]:
    flags: list[str] = []
    if state.expired:
        flags.append(Flag.ARCHIVE_EXPIRED)
    if cut:
        flags.append(Flag.ATTRIBUTES_CUT)
    if state.conflicting:
        flags.append(Flag.CONFLICTING_EVENTS)
    if state.derived:
        flags.append(Flag.DERIVED_TRACE)
    if not state.tree.tops and not state.trace:
        flags.append(Flag.MISSING_ROOT)
    if latency is not None and latency < 0:
        flags.append(Flag.NEGATIVE_DURATION)
    if len(state.tree.tops) > 1 and not state.trace:
        flags.append(Flag.SEVERAL_ROOTS)
    return flags
