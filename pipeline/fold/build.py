"""From a trace's state to what has to be written of it.

Two kinds of rows can be out of date: those of observations that got events themselves, and those that follow from
others (sums over the subtree, place, the trace's attributes). What has ended is written at once. What is open may wait
a moment for its end (`Want.held_until`), and what follows from others waits until all of the trace is asked for
(`Want.all`): so that an observation is usually written once. Whatever is written says the truth about the whole set of
events folded so far; waiting only leaves older versions in the table.

How it works: 1 refresh what events touched (merge, price), 2 resolve the tree and the totals, 3 choose, 4 make views
(viewing.py).
Work is O(what changed and the ancestors of it), never O(the trace), but for attributes, which stand on every row.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.events.model import Fields, Micros
from pipeline.events.priced import Pricer
from pipeline.fold.attributes import Attributes, attributes_of
from pipeline.fold.observation import Observation, is_open
from pipeline.fold.state import TraceState
from pipeline.fold.viewing import observation_view, score_views, trace_view
from pipeline.fold.views import Built

_NO_FIELDS = Fields()


class Want(NamedTuple):
    """How much has to be written: `all` rows that are out of date, or of open observations those held for long."""

    all: bool = True
    held_until: Micros = Micros(0)  # those that wait since then or longer, by the partition's clock


EVERYTHING = Want()


def build(state: TraceState, price: Pricer, want: Want = EVERYTHING) -> Built:
    """Bring the state up to date and return what has to be written now; it counts as written from then on."""
    if state.epoch != price.epoch:
        _reprice(state, price)
    _refresh_touched(state, price)  # 1
    _resolve(state)  # 2
    attributes = _attributes(state)
    chosen = _choose(state, attributes, want)  # 3
    whole = want.all and len(chosen) == len(state.unwritten)  # else content has to be brought back first (shed.py)
    observations = [observation_view(state, node) for node in chosen]  # 4
    _mark_written(state, chosen, attributes)
    ends = not whole and bool(state.shed or state.round) and state.wrote(chosen, whole=want.all)
    due_trace = whole or ends or state.trace_touched or not state.written
    scores, gone_scores = score_views(state)
    state.touched_scores.clear()
    gone = sorted(id_ for id_ in state.gone if id_ not in state.observations)
    state.gone.clear()
    if due_trace:
        state.written, state.trace_touched = True, False
    return Built(
        trace_view(state, attributes.cut) if due_trace and state.has_trace_row else None,
        attributes,
        observations,
        scores,
        gone,
        gone_scores,
        has_ended(state),
        whole,
        ends,
    )


def rest(state: TraceState, price: Pricer) -> None:
    """All rows of the trace are stored as they would be made now (an archived trace was read back)."""
    _refresh_touched(state, price)
    _resolve(state)
    state.attributes = attributes = _attributes(state)
    state.epoch = price.epoch
    state.touched_scores.clear()
    state.gone.clear()
    state.tree.moved.clear()
    state.ready = state.trace_touched = state.rewrite = False
    state.held_since = Micros(0)
    _mark_written(state, state.observations.values(), attributes)
    state.written = True


def _reprice(state: TraceState, price: Pricer) -> None:
    """Other price books: everything is priced and written anew."""
    if state.epoch >= 0:
        state.touched.update((id_, node) for id_, node in state.observations.items() if node.loaded)
        state.rewrite = True
    state.epoch = price.epoch


def _refresh_touched(state: TraceState, price: Pricer) -> None:
    tree, unwritten = state.tree, state.unwritten
    for node in state.touched.values():
        _refresh(state, node, price)
        unwritten[node] = None
    state.touched.clear()
    if state.rewrite:
        state.rewrite = False
        unwritten.update(dict.fromkeys(tree.nodes.values()))
        state.touched_scores.update(dict.fromkeys(state.scores))
        state.gone.update(state.hidden)
        state.written = False


def _refresh(state: TraceState, node: Observation, price: Pricer) -> None:
    """Merge and price one observation, and put it where it belongs."""
    fields = node.fields = node.merged()
    start = fields.get("start_time", node.first_at)
    before = (node.start, node.priced, node.model)
    state.totals.take(node, fields.get("level", "DEFAULT"), is_open(fields), start, fields.get("end_time"))
    node.priced = priced = price(state.project_id, fields, start)
    node.model = model = fields.get("model", "")
    parent_id = fields.get("parent_observation_id", "")
    tree = state.tree
    if node.id not in tree.nodes:
        node.parent_id = parent_id
        tree.put(node)
    else:
        if parent_id != node.parent_id:
            tree.reparent(node, parent_id)
        if start != before[0]:
            tree.started(node)
    if priced != before[1] or model != before[2]:
        tree.priced(node)


def _resolve(state: TraceState) -> None:
    tree = state.tree
    tree.resolve()
    if tree.recount:
        for node in tree.recount:
            state.totals.recount(node)
        tree.recount.clear()


def _attributes(state: TraceState) -> Attributes:
    root = state.tree.root
    own = state.trace.merged() if state.trace else _NO_FIELDS
    carried = state.carried.merged() if state.carried else _NO_FIELDS
    return attributes_of(own, root.content() if root is not None else _NO_FIELDS, carried, state.totals.count)


def _choose(state: TraceState, attributes: Attributes, want: Want) -> list[Observation]:
    """The observations whose rows are due, each once, in the order in which they came to notice."""
    tree, unwritten = state.tree, state.unwritten
    if want.all:
        if attributes != state.attributes:
            state.attributes = attributes
            unwritten.update((node, None) for node in tree.nodes.values() if node.shown != attributes)
        if tree.moved:
            unwritten.update(dict.fromkeys(tree.below(tree.moved)))
            tree.moved.clear()
        unwritten.update(tree.changed)
        state.ready, state.held_since = False, Micros(0)
        return [node for node in unwritten if node.loaded] if state.shed else list(unwritten)
    if attributes != state.attributes:
        state.attributes = ()  # some rows will show these, others still the old ones
    until = want.held_until
    chosen, waiting = [], Micros(0)
    for node in unwritten:
        held = node.held_since
        if not node.loaded:
            continue
        if node.ended or not held or held <= until:
            chosen.append(node)
        elif not waiting or held < waiting:
            waiting = held
    state.ready, state.held_since = False, waiting
    return chosen


def _mark_written(state: TraceState, nodes: Iterable[Observation], attributes: Attributes) -> None:
    """Their rows are on their way, or in the store."""
    unwritten, changed, root = state.unwritten, state.tree.changed, state.tree.root
    for node in nodes:
        unwritten.pop(node, None)
        changed.pop(node, None)
        node.held_since = Micros(0)
        node.shown = attributes
        if node is not root and node.loaded:
            node.fields = None  # most are never asked again
    for notes in (unwritten, changed):
        if not notes:
            notes.clear()  # a dict that was emptied one by one keeps its table


def has_ended(state: TraceState) -> bool:
    """A single root tells by itself; several roots, or none, have ended when nothing is open any more."""
    tree = state.tree
    if len(tree.tops) == 1 and not state.trace and tree.root is not None:
        return not tree.root.open
    return not state.totals.open
