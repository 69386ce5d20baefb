"""A tree that is told of observations as the fold tells it, and what the oracle's tree says of the same."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import permutations
from typing import Any, NamedTuple

from pipeline.events.model import Micros
from pipeline.events.priced import UNPRICED, Priced
from pipeline.fold.observation import Observation
from pipeline.fold.tree import Tree
from tests.oracle.tree import tree_of


class Said(NamedTuple):
    """What is known of one observation; its model is one of its own unless told: nobody repeats anybody by chance."""

    parent: str = ""
    at: int = 0
    cost: Decimal | None = None
    tokens: int = 0
    model: str | None = None


class Place(NamedTuple):
    """What of an observation's row follows from the tree."""

    depth: int
    path: list[str]
    child_count: int
    orphan: bool
    cut: bool
    repeats: bool
    cost: Decimal | None
    tokens: int


class Grown:
    """A tree that is told of observations as the fold tells it, and the rows that its notes have written."""

    def __init__(self, **parents: str) -> None:
        self.tree = Tree()
        self.written: dict[str, Place] = {}
        self.said: dict[str, Said] = {}
        self.told: dict[str, Observation] = {}
        for at, (id_, parent) in enumerate(parents.items()):
            self.say(id_, parent, at)

    def say(self, id_: str, *args: Any) -> "Grown":
        """An observation is new or says something else."""
        said = self.said[id_] = Said(*args)
        node = self.tree.nodes.get(id_)
        is_new = node is None
        if node is None:
            node = Observation(id_)
        self.told[id_] = node
        priced = _priced(said.cost, said.tokens)
        start, old, model = node.start, node.priced, node.model
        node.start, node.priced, node.model = Micros(said.at), priced, id_ if said.model is None else said.model
        if is_new:
            node.parent_id = said.parent
            self.tree.put(node)
        elif said.parent != node.parent_id:
            self.tree.reparent(node, said.parent)
        if not is_new and start != said.at:
            self.tree.started(node)
        if priced != old or node.model != model:
            self.tree.priced(node)
        return self

    def drop(self, id_: str) -> "Grown":
        """A tombstone."""
        self.tree.drop(self.tree.nodes[id_])
        del self.said[id_]
        self.written.pop(id_, None)
        self.told.pop(id_, None)
        return self

    def places(self) -> dict[str, Place]:
        """All places, made anew."""
        self.tree.resolve()
        return {id_: self.place(node) for id_, node in self.tree.nodes.items()}

    def place(self, node: Observation) -> Place:
        tree, (cost, costs, tokens) = self.tree, node.subtree()
        return Place(
            tree.depth(node), tree.path(node), tree.child_count(node), node.orphan, node.cut, node.repeats,
            cost if costs else None, tokens,
        )  # fmt: skip

    def write(self) -> set[str]:
        """Write the rows of those that it was told of and that the tree noted; returns whose the latter are."""
        tree = self.tree
        tree.resolve()
        noted = {*tree.changed, *tree.below(tree.moved)}
        self.written |= {node.id: self.place(node) for node in noted | set(self.told.values())}
        self.told.clear()
        for notes in (tree.changed, tree.moved, tree.recount):
            notes.clear()
        return {node.id for node in noted}

    @property
    def root(self) -> str:
        self.tree.resolve()
        return "" if self.tree.root is None else self.tree.root.id


def _priced(cost: Decimal | None, tokens: int) -> Priced:
    if cost is None and not tokens:
        return UNPRICED
    return UNPRICED._replace(usage={"total": tokens} if tokens else {}, total_cost=cost)


def expected(said: dict[str, Said]) -> dict[str, Place]:
    """The places by the oracle's tree and plain recursion."""
    tree = tree_of({id_: each.parent for id_, each in said.items()}, {id_: each.at for id_, each in said.items()})
    repeating = {id_ for id_ in said if _repeats(id_, said, tree.children(id_))}
    return {
        id_: Place(
            len(tree.ancestors(id_)),
            tree.path(id_),
            len(tree.children(id_)),
            id_ in tree.orphans,
            id_ in tree.cuts,
            id_ in repeating,
            sum(costs) if (costs := [c for b in _below(id_, tree) if b not in repeating and (c := said[b].cost)
                                     is not None]) else None,
            sum(said[below].tokens for below in _below(id_, tree) if below not in repeating),
        )
        for id_ in said
    }  # fmt: skip


def _below(id_: str, tree: Any) -> Iterator[str]:
    yield id_
    for child in tree.children(id_):
        yield from _below(child, tree)


def _repeats(id_: str, said: dict[str, Said], children: Iterable[str]) -> bool:
    own = said[id_]
    models = {kid: kid if said[kid].model is None else said[kid].model for kid in children}
    own_model = id_ if own.model is None else own.model
    return own.tokens > 0 and any(said[kid].tokens == own.tokens and own_model in ("", models[kid]) for kid in models)


def orders(said: dict[str, Said]) -> Iterator[Grown]:
    """The tree of these in every order of arrival, resolved at the end or after each of them."""
    for order in permutations(said):
        for each_time in (False, True):
            made = Grown()
            for id_ in order:
                made.say(id_, *said[id_])
                if each_time:
                    made.write()
            yield made
