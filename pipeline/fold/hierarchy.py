"""The tree of a trace from parent links that arrive in any order: depth, path, children, subtree sums.

Rules: an observation whose parent is unknown is an orphan and hangs under the root until the parent arrives. Links that
run in a circle are cut at the smallest id, which then hangs under the root too. The root is the observation without a
parent that starts first (smallest id on a tie); the other ones without a parent stand beside it at depth 0.
Every walk here is a loop, and a path longer than MAX_PATH keeps its last ids, so a chain of any depth is fine.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from pipeline.events.model import Micros

ZERO = Decimal(0)
MAX_PATH = 100  # whole paths of a chain of n observations would take n * n / 2 ids


class Node(NamedTuple):
    """What the tree needs to know of one observation; cost in USD, None where unknown."""

    parent_id: str
    start_time: Micros
    cost: Decimal | None
    tokens: int


class Place(NamedTuple):
    """Where an observation stands, and the sums over it and everything under it.

    `path` has the ids from the root, its own last; where `depth` is MAX_PATH or more, only the last MAX_PATH of them.
    """

    depth: int
    path: tuple[str, ...]
    child_count: int
    subtree_cost: Decimal | None
    subtree_tokens: int
    orphan: bool
    cycle_cut: bool


class Tree(NamedTuple):
    """All places by observation id; `root` is "" where no observation stands at the top by its own word."""

    places: dict[str, Place]
    root: str
    root_count: int


def build_tree(nodes: Mapping[str, Node]) -> Tree:
    """Place every observation. O(number of observations + length of all paths), which is at most MAX_PATH for each."""
    tops = [id_ for id_, node in nodes.items() if not node.parent_id]
    root = min(tops, key=lambda id_: (nodes[id_].start_time, id_), default="")
    orphans = {id_ for id_, node in nodes.items() if node.parent_id and node.parent_id not in nodes}
    cuts = _cycle_cuts(nodes)
    children: dict[str, list[str]] = {}
    starts = list(tops)
    for id_, node in nodes.items():
        if not node.parent_id:
            continue
        parent = node.parent_id
        if id_ in orphans or id_ in cuts:
            if not root:
                starts.append(id_)
                continue
            parent = root
        children.setdefault(parent, []).append(id_)
    return Tree(_places(nodes, children, starts, orphans, cuts), root, len(tops))


def _cycle_cuts(nodes: Mapping[str, Node]) -> set[str]:
    """The smallest id of every circle of parent links."""
    cuts: set[str] = set()
    done: set[str] = set()
    for start in nodes:
        trail: dict[str, None] = {}
        at = start
        while at in nodes and at not in done and at not in trail:
            trail[at] = None
            at = nodes[at].parent_id
        if at in trail:
            ids = list(trail)
            cuts.add(min(ids[ids.index(at) :]))
        done.update(trail)
    return cuts


def _places(
    nodes: Mapping[str, Node], children: Mapping[str, list[str]], starts: list[str], orphans: set[str], cuts: set[str]
) -> dict[str, Place]:
    order: list[tuple[str, int, tuple[str, ...]]] = []
    stack: list[tuple[str, int, tuple[str, ...]]] = [(id_, 0, (id_,)) for id_ in starts]
    while stack:
        id_, depth, path = entry = stack.pop()
        order.append(entry)
        if id_ in children:
            trunk = path[1 - MAX_PATH :]
            stack.extend((child, depth + 1, (*trunk, child)) for child in children[id_])
    places: dict[str, Place] = {}
    for id_, depth, path in reversed(order):  # children before their parents
        node, below = nodes[id_], children.get(id_, ())
        cost, tokens = node.cost, node.tokens
        for child in below:
            place = places[child]
            tokens += place.subtree_tokens
            if place.subtree_cost is not None:
                cost = (cost or ZERO) + place.subtree_cost
        places[id_] = Place(depth, path, len(below), cost, tokens, id_ in orphans, id_ in cuts)
    return places
