"""The tree of a trace, kept as events come in any order: who hangs under whom, how deep, and what subtrees sum up to.

Rules: an observation whose parent is unknown is an orphan and hangs under the root until the parent arrives. Links that
run in a circle are cut at the smallest id, which then hangs under the root too. The root is the observation without a
parent that starts first (smallest id on a tie); the other ones without a parent stand beside it at depth 0.
An observation that repeats the usage of a child adds nothing of its own to the sums (`_repeats_a_child`).

`put` and `drop` cost O(1), or O(depth) where a subtree gets a new parent. `resolve` brings the sums up to date: each
ancestor of what changed is visited once, however many changes lie below it. What happened to rows is noted in
`changed` (place, sums, children) and `moved` (all that is below stands elsewhere, too), for whoever writes rows.
Every walk is a loop; orphans and cut circles hang under a stand-in, `loose`, so that a new root moves all of them at
once.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.events.priced import UNPRICED
from pipeline.fold.circles import circle_of, cut_of
from pipeline.fold.observation import NOTHING, Observation, without
from pipeline.fold.sums import push_up

MAX_PATH = 100  # whole paths of a chain of n observations would take n * n / 2 ids


class Tree:
    """All observations of a trace by id, and their places."""

    __slots__ = (
        "_circles", "_depths", "_recheck", "_root_is_stale", "_unsummed", "_waiting", "changed", "loose", "moved",
        "nodes", "recount", "root", "tops",
    )  # fmt: skip

    def __init__(self) -> None:
        self.nodes: dict[str, Observation] = {}
        self.tops: dict[str, Observation] = {}  # without a parent by their own word
        self.root: Observation | None = None  # right after `resolve`
        self.loose = Observation("")  # orphans and cut circles hang here
        self.changed: dict[Observation, None] = {}
        self.moved: dict[Observation, None] = {}
        self.recount: dict[Observation, None] = {}  # what the trace's totals have to take in
        self._waiting: dict[str, dict[str, Observation]] = {}  # missing parent -> its children
        self._circles = 0
        self._depths = 0  # depths that were noted under an older number no longer hold
        self._unsummed: dict[Observation, None] = {}
        self._recheck: dict[Observation, None] = {}
        self._root_is_stale = False

    def put(self, node: Observation) -> None:
        """Place an observation that is new here, by its `parent_id`."""
        self.nodes[node.id] = node
        self._place(node, self._waiting.pop(node.id, None))

    def reparent(self, node: Observation, parent_id: str) -> None:
        """It has another parent now."""
        self._unlink(node)
        node.parent_id = parent_id
        self._place(node, None)

    def drop(self, node: Observation) -> None:
        """It is no more; its children wait for it again."""
        self._unlink(node)
        del self.nodes[node.id]
        if node.kids:
            self._waiting[node.id] = dict(node.kids)
            for kid in list(node.kids.values()):
                kid.orphan = True
                self._hang(kid, self.loose)
        if node.over is not None:
            self._take_off(node, node.over)
        if node is self.root:
            self._crown(None)
            self._root_is_stale = True
        for notes in (self.changed, self.moved, self.recount, self._unsummed, self._recheck):
            notes.pop(node, None)

    def priced(self, node: Observation) -> None:
        """Its usage, cost or model is another."""
        self._unsummed[node] = None
        self.recount[node] = None
        if node.kids or node is self.root or node.repeats:
            self._recheck[node] = None
        if (over := self.over(node)) is not None and over.priced.usage:
            self._recheck[over] = None

    def started(self, node: Observation) -> None:
        """Its start is another: the root may change."""
        if node.id in self.tops:
            self._consider(node)

    def resolve(self) -> None:
        """Bring root, repeats and sums up to date."""
        if self._root_is_stale:
            self._root_is_stale = False
            self._crown(min(self.tops.values(), key=_seniority, default=None))
        if self._recheck:
            for node in self._recheck:
                self._check_repeats(node)
            self._recheck.clear()
        if self._unsummed:
            push_up(self._unsummed, self.changed)
            self._unsummed.clear()

    def over(self, node: Observation) -> Observation | None:
        """What it hangs under, in the rows: the root for orphans and cut circles."""
        return self.root if node.over is self.loose else node.over

    def children(self, node: Observation) -> Iterable[Observation]:
        """What hangs directly under it."""
        own = node.kids.values() if node.kids else ()
        if node is self.root and self.loose.kids:
            return chain(own, self.loose.kids.values())
        return own

    def child_count(self, node: Observation) -> int:
        """How many hang directly under it."""
        own = len(node.kids) if node.kids else 0
        return own + len(self.loose.kids) if node is self.root and self.loose.kids else own

    def path(self, node: Observation) -> list[str]:
        """Ids from the root, its own last; the last MAX_PATH of them."""
        ids = [node.id]
        at = self.over(node)
        while at is not None and len(ids) < MAX_PATH:
            ids.append(at.id)
            at = self.over(at)
        ids.reverse()
        return ids

    def depth(self, node: Observation) -> int:
        """0 at the top. Walks up to what is known already."""
        trail: list[Observation] = []
        at: Observation | None = node
        while at is not None and at.depth_epoch != self._depths:
            trail.append(at)
            at = self.over(at)
        depth = -1 if at is None else at.depth
        for each in reversed(trail):
            depth += 1
            each.depth, each.depth_epoch = depth, self._depths
        return node.depth

    def below(self, tops: Iterable[Observation]) -> Iterator[Observation]:
        """These observations and everything under them, each once."""
        stack, seen = list(tops), set[int]()
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node is not self.loose:
                yield node
            stack.extend(self.children(node) if node is not self.loose else (node.kids or {}).values())

    def _place(self, node: Observation, waiting: dict[str, Observation] | None) -> None:
        """1 look for a circle, 2 take in the children that waited, 3 hang it up, 4 cut the circle."""
        parent_id = node.parent_id
        may_close = parent_id and (waiting or node.kids or parent_id == node.id)
        circle = circle_of(node, self.nodes) if may_close else None  # 1
        for kid in (waiting or {}).values():  # 2
            kid.orphan = False
            self._hang(kid, node)
        if not parent_id:  # 3
            self.tops[node.id] = node
            self._hang(node, None)
            self._consider(node)
        elif (parent := self.nodes.get(parent_id)) is None:
            self._waiting.setdefault(parent_id, {})[node.id] = node
            node.orphan = True
            self._hang(node, self.loose)
        else:
            self._hang(node, parent if parent is not node else self.loose)
        if circle:  # 4
            cut = min(circle, key=lambda each: each.id)
            cut.cut = True
            self._circles += 1
            self._hang(cut, self.loose)

    def _unlink(self, node: Observation) -> None:
        """Take back what its parent link did, but leave it hanging where it is."""
        if self._circles and (cut := cut_of(node, self.nodes)) is not None:
            cut.cut = False
            self._circles -= 1
            if cut is not node:
                self._hang(cut, self.nodes[cut.parent_id])
        if node.id in self.tops:
            del self.tops[node.id]
            self._root_is_stale |= node is self.root
        if node.orphan:
            node.orphan = False
            siblings = self._waiting[node.parent_id]
            del siblings[node.id]
            if not siblings:
                del self._waiting[node.parent_id]

    def _hang(self, node: Observation, over: Observation | None) -> None:
        """Hang it, with all below, under another."""
        old = node.over
        if old is not None:
            if old is over:
                return
            self._take_off(node, old)
        node.over, node.gave = over, NOTHING
        if over is not None:
            if over.kids is None:
                over.kids = {}
            over.kids[node.id] = node
            if node.priced is not UNPRICED or node.got != NOTHING:
                self._unsummed[node] = None
            self._note_children(over)
        if node.kids:
            self.moved[node] = None
            self._depths += 1
        else:
            self.changed[node] = None
            node.depth_epoch = -1

    def _take_off(self, node: Observation, old: Observation) -> None:
        assert old.kids is not None  # noqa: S101  # it hung there
        del old.kids[node.id]
        if node.gave != NOTHING:
            old.got = without(old.got, node.gave)
            node.gave = NOTHING
            self._unsummed[old] = None
        self._note_children(old)

    def _note_children(self, node: Observation) -> None:
        """Its direct children are others."""
        shown = self.root if node is self.loose else node
        if shown is not None:
            self.changed[shown] = None
            if shown.priced.usage:
                self._recheck[shown] = None

    def _consider(self, node: Observation) -> None:
        """A top is new or starts at another time: is it the root, or is it no longer?"""
        root = self.root
        if root is None:
            self._crown(node)
        elif node is root:
            self._root_is_stale = len(self.tops) > 1
        elif _seniority(node) < _seniority(root):
            self._crown(node)

    def _crown(self, root: Observation | None) -> None:
        """The loose ones hang under this root from now on."""
        old, loose = self.root, self.loose
        if old is root:
            return
        self.root = root
        if old is not None and loose.gave != NOTHING:
            old.got = without(old.got, loose.gave)
        loose.gave = NOTHING
        loose.over = root
        self._unsummed[loose] = None
        for each in (old, root):
            if each is not None and self.nodes.get(each.id) is each:
                self._unsummed[each] = None
                self.changed[each] = None
                self._recheck[each] = None
        if loose.kids:
            self.moved[loose] = None
            self._depths += 1

    def _check_repeats(self, node: Observation) -> None:
        repeats = self._repeats_a_child(node)
        if repeats != node.repeats:
            node.repeats = repeats
            self._unsummed[node] = None
            self.recount[node] = None
            self.changed[node] = None

    def _repeats_a_child(self, node: Observation) -> bool:
        """True where a direct child has the same canonical usage and the same model (or it names none itself).

        A child without a known cost does not stand for a node that has one: no money may leave the sums.
        """
        usage, model, costs = node.priced.usage, node.model, node.priced.total_cost is not None
        if not usage:
            return False
        return any(
            kid.priced.usage == usage
            and (not model or kid.model == model)
            and not (costs and kid.priced.total_cost is None)
            for kid in self.children(node)
        )


def _seniority(node: Observation) -> tuple[int, str]:
    return (node.start, node.id)
