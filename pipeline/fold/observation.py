"""One observation of a trace: its opinions, what they amount to, and its knot in the tree.

The content (texts, metadata) lives in the layers. What the tree and the totals need is kept beside it in plain slots,
so that a change costs what changed and not what the trace holds.
"""

from decimal import Context, Decimal

from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced
from pipeline.fold.layers import Layers

Sums = tuple[Decimal, int, int]  # USD, how many costs are in it, tokens

_EXACT = Context(prec=76)  # 2^63 tokens at any price, a million times: a sum that is rounded tells its order (I1)
plus, minus = _EXACT.add, _EXACT.subtract
ZERO = Decimal(0)
NOTHING: Sums = (ZERO, 0, 0)


class Observation(Layers):
    """An observation. `fields`, `priced` and the slots below them say what the last `refresh` found."""

    __slots__ = (
        "counted", "cut", "depth", "depth_epoch", "end", "ended", "fields", "gave", "got", "held_since", "id", "kids",
        "last_at", "level", "model", "open", "orphan", "over", "parent_id", "priced", "repeats", "shown", "size",
        "start",
    )  # fmt: skip

    def __init__(self, id_: str) -> None:
        super().__init__()
        self.id = id_
        self.fields: Fields | None = None  # merged, while nothing newer was added
        self.priced: Priced = UNPRICED
        self.start = Micros(-1)
        self.end: Micros | None = None
        self.level = ""  # "" until the first refresh
        self.model = ""
        self.open = False
        self.parent_id = ""
        # not merged: told by any event, for deciding what may wait
        self.ended = False
        self.held_since = Micros(0)  # when it first had news that are not written; 0: no news
        self.size = 0  # bytes of memory of its events
        self.last_at = Micros(0)  # the newest event time
        self.shown: object = None  # the trace's attributes, as on its newest row
        # the tree's
        self.over: Observation | None = None  # what it hangs under, after orphans and circles have been placed
        self.kids: dict[str, Observation] | None = None
        self.orphan = False
        self.cut = False
        self.depth = 0
        self.depth_epoch = -1
        self.got: Sums = NOTHING  # from what hangs under it
        self.gave: Sums = NOTHING  # to what it hangs under
        self.repeats = False  # its usage is a child's
        self.counted: Priced = UNPRICED  # as it stands in the trace's totals

    def subtree(self) -> Sums:
        """The sums over it, unless it repeats a child's usage, and everything below."""
        priced, (cost, costs, tokens) = self.priced, self.got
        if self.repeats or priced is UNPRICED:
            return self.got
        tokens += priced.usage.get("total", 0)
        own = priced.total_cost
        return (cost, costs, tokens) if own is None else (plus(own, cost) if costs else own, costs + 1, tokens)

    def content(self) -> Fields:
        """The merged fields; of one whose content was let go (shed.py) what is left. Treat them as read-only."""
        return self.merged() if self.fields is None else self.fields


def added(one: Sums, other: Sums) -> Sums:
    """Both together."""
    return (plus(one[0], other[0]), one[1] + other[1], one[2] + other[2])


def without(one: Sums, other: Sums) -> Sums:
    """One less the other."""
    return (minus(one[0], other[0]), one[1] - other[1], one[2] - other[2])


def kind_of(fields: Fields) -> str:
    """The type a create gave, else the one an update implies, else SPAN."""
    return fields.get("type") or fields.get("type_provisional") or "SPAN"


def is_open(fields: Fields) -> bool:
    """True while an observation has not ended; an EVENT is a moment and never open."""
    return "end_time" not in fields and kind_of(fields) != "EVENT"
