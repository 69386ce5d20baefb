"""Giant traces: what was written of an observation need not stay in memory, for the archive has it.

Kept is what the tree and the totals need, one to two kilobytes for each observation. The content (`Layers`) is let go
once its row is durable and brought back from the archive when the observation gets another event, or when its row must
be written anew because something else changed (`wanted`). So the memory of a trace is bounded by the number of its
observations and not by what they say.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import cast

from pipeline.events.model import Event, Fields, Kind
from pipeline.fold.attributes import OF_THE_ROOT
from pipeline.fold.layers import Layer
from pipeline.fold.observation import Observation
from pipeline.fold.state import TraceState

SKELETON = 1_100  # bytes of memory of an observation without its content
AT_ONCE = 5_000  # observations that are brought back for one flush


def shed(state: TraceState) -> int:
    """Let the content of all observations go whose rows are durable; bytes of events that left.

    A trace whose archive expired keeps everything: nobody could give it back.
    """
    freed = 0
    if state.expired:
        return freed
    tops, root, unwritten, touched = state.tree.tops, state.tree.root, state.unwritten, state.touched
    for node in state.observations.values():
        if node.loaded and node not in unwritten and node.id not in touched and node is not root:
            node.fields = _brief(node) if node.id in tops else None  # it may become the root
            node.unload()
            state.shed += 1
            freed += max(node.size - SKELETON, 0)
            node.size = min(node.size, SKELETON)
    state.size -= freed
    return freed


def _brief(node: Observation) -> Fields:
    """What the attributes of the trace may be taken from."""
    content = node.content()
    return cast(Fields, {name: content[name] for name in OF_THE_ROOT if name in content})


def missing(state: TraceState, events: Iterable[Event]) -> set[str]:
    """Observations whose content must come back before these events can be folded."""
    if not state.shed:
        return set()
    ids: set[str] = set()
    for event in events:
        if event.kind is Kind.OBSERVATION:
            node = state.observations.get(event.entity_id)
            if node is not None and not node.loaded:
                ids.add(node.id)
        elif event.kind is Kind.TRACE and "deleted" in event.fields:
            ids.update(
                node.id for node in state.observations.values() if _is_halved(node, event.at) and not node.loaded
            )
    return ids


def wanted(state: TraceState) -> list[str]:
    """Observations whose rows are out of date and cannot be made without their content, some at a time."""
    if not state.shed:
        return []
    return list(islice((node.id for node in state.unwritten if not node.loaded), AT_ONCE))


def lacking(state: TraceState, contents: Mapping[str, tuple[Sequence[Layer], int]]) -> list[str]:
    """Observations of which this is not all that was let go."""
    some = ((id_, state.observations.get(id_)) for id_ in contents)
    return [id_ for id_, node in some if node is not None and not node.loaded and len(contents[id_][0]) < node.let_go]


def bring_back(state: TraceState, id_: str, layers: Iterable[Layer], size: int) -> int:
    """Content from the archive; bytes of events that came."""
    node = state.observations.get(id_)
    if node is None or node.loaded:
        return 0
    at_first = node.first_at
    node.fields = None
    node.load(layers)
    node.first_at = at_first
    state.shed -= 1
    came = max(size - node.size, 0)
    node.size = max(size, node.size)
    state.size += came
    if node in state.unwritten:
        state.touched[id_] = node  # the price books may be others by now
    return came


def _is_halved(node: Observation, at: int) -> bool:
    """A tombstone of this time hides a part of what was said of it."""
    return node.first_at <= at < node.last_at
