"""The oracle's tree: who hangs under whom, and how deep. Every question is answered by walking, again and again."""

from collections.abc import Mapping
from typing import NamedTuple

LONGEST_PATH = 100


class Tree(NamedTuple):
    """`above` says under whom each observation hangs, None at the top."""

    root: str
    tops: int
    above: dict[str, str | None]
    orphans: set[str]
    cuts: set[str]

    def ancestors(self, id_: str) -> list[str]:
        """From the top down to the parent."""
        line: list[str] = []
        at = self.above[id_]
        while at is not None:
            line.append(at)
            at = self.above[at]
        return line[::-1]

    def path(self, id_: str) -> list[str]:
        """The ids from the top down to the observation itself; the last hundred of them."""
        return [*self.ancestors(id_), id_][-LONGEST_PATH:]

    def children(self, id_: str) -> list[str]:
        """Those that hang directly under an observation."""
        return [child for child, parent in self.above.items() if parent == id_]


def tree_of(parents: Mapping[str, str], starts: Mapping[str, int]) -> Tree:
    """The tree from each observation's own word ("" says that it has no parent).

    The root is the observation without a parent that starts first, the smallest id on a tie. An orphan, whose parent is
    not there, and the smallest id of a circle hang under the root, or stand at the top where there is no root.
    """
    tops = [id_ for id_, parent in parents.items() if not parent]
    root = min(tops, key=lambda id_: (starts[id_], id_), default="")
    orphans = {id_ for id_, parent in parents.items() if parent and parent not in parents}
    cuts = {id_ for id_ in parents if id_ == min(_circle(id_, parents), default=None)}
    above: dict[str, str | None] = {}
    for id_, parent in parents.items():
        above[id_] = (root if id_ in orphans | cuts else parent) or None
    return Tree(root, len(tops), above, orphans, cuts)


def _circle(id_: str, parents: Mapping[str, str]) -> list[str]:
    """The ids of the circle of parent links that `id_` is part of; empty where it is part of none."""
    trail, at = [id_], parents[id_]
    while at in parents and at not in trail:
        trail.append(at)
        at = parents[at]
    return trail if at == id_ else []
