"""The state of one trace: its distinct events, taken in one by one, in any order.

`TraceState.add` says what an event was: new, a duplicate, or the redelivery of one that the archive gave back (the
same event at the same offset, after a restart: its rows may not have been written, so all of the trace is due for
writing again). `restore` takes in what the archive gave back; `build.rest` then says that its rows are stored.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import cast

from pipeline.events.keys import is_trace
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.fold.catch_up import Round
from pipeline.fold.layers import Layers, Stamp
from pipeline.fold.observation import Observation
from pipeline.fold.totals import Totals
from pipeline.fold.tree import Tree

_CARRIED = frozenset({"trace_name", "user_id", "session_id", "release", "tags", "public"})
_SCORE, _TRACE = Kind.SCORE, Kind.TRACE  # an enum's members are slow to look up
NEVER = Micros(-1)
SKELETON = 5_000  # bytes of memory that a trace takes beside its events (tests/bench/bench_weights.py measures both)
EVENT = 1_500  # and an event beside its own bytes


def weight(value: bytes) -> int:
    """Bytes of memory that an event takes which came as these."""
    return EVENT + len(value)


class Seen(Enum):
    """What adding an event found."""

    NEW = auto()
    DUPLICATE = auto()
    REDELIVERED = auto()


_NEW = Seen.NEW


class TraceState:
    """All that is known of one trace (or of one group of scores without a trace)."""

    __slots__ = (
        "attributes", "base_count", "carried", "conflicting", "deleted_at", "derived", "epoch", "expired", "first_seen",
        "gone", "hash", "heard", "held_since", "hidden", "holder", "latest_at", "observations", "project_id", "ready",
        "restored", "revision", "rewrite", "round", "scores", "seen", "shed", "size", "totals", "touched",
        "touched_scores", "trace", "trace_id", "trace_touched", "tree", "unwritten", "unwritten_since", "written",
    )  # fmt: skip

    def __init__(self, project_id: str, trace_id: str, first_seen: Micros) -> None:
        self.project_id = project_id
        self.trace_id = trace_id
        self.first_seen = first_seen
        self.hash = 0  # keys.trace_hash, once it was needed
        # the set of events
        self.seen: dict[str, bytes] = {}  # event id -> identity; of one id with several contents see `_again`
        self.restored: dict[bytes, int] | None = None  # identity -> offset of the events that came from the archive
        self.base_count = 0  # events that the archive no longer has, but stored rows were made from
        self.size = SKELETON  # bytes of memory that it takes, by its events' bytes and numbers
        self.conflicting = False
        self.derived = False
        self.expired = False  # there were such
        self.revision = 0  # distinct events that are no scores: what evaluation results are numbered by
        self.latest_at = Micros(0)  # the newest event time among those of `revision`
        self.deleted_at = NEVER  # event time of the newest tombstone
        self.hidden: dict[str, None] = {}  # observations of which it hides something
        # what they amount to
        self.trace = Layers()
        self.carried = Layers()  # trace attributes that observations carry
        self.tree = Tree()
        self.observations = self.tree.nodes  # those that were refreshed
        self.totals = Totals()
        self.scores: dict[str, Score] = {}
        self.attributes: tuple[object, ...] = ()  # trace attributes as last written on the observations
        self.epoch = -1  # of the price books, as last built
        # what has to be done
        self.touched: dict[str, Observation] = {}  # with events that were not refreshed yet
        self.unwritten: dict[Observation, None] = {}  # their own rows are out of date
        self.touched_scores: dict[str, None] = {}
        self.gone: dict[str, None] = {}  # observations whose rows a tombstone takes back
        self.trace_touched = False  # a trace event came
        self.ready = False  # an observation that has ended waits for its row
        self.held_since = Micros(0)  # since when the first open observation waits for its row; 0: none
        self.rewrite = False  # all rows are in doubt
        self.written = False  # a trace row was written
        self.shed = 0  # observations whose content is not in memory (fold/shed.py)
        # for whoever writes
        self.unwritten_since = Micros(0)
        self.heard = Micros(0)  # when its last event came
        self.holder: object | None = None
        self.round: Round | None = None  # of a giant trace whose rows are written some at a time (fold/catch_up.py)

    @property
    def event_count(self) -> int:
        """Distinct events folded so far."""
        return len(self.seen) + self.base_count

    @property
    def has_trace_row(self) -> bool:
        """False for groups of scores that belong to a session or a dataset run."""
        return is_trace(self.trace_id) or self.revision > 0

    def dissolve(self) -> None:
        """It leaves memory: without its circles of references it is gone at once, and no collector has to find it."""
        for node in self.observations.values():
            node.over = node.kids = None
        self.tree.loose.over = self.tree.loose.kids = None

    def knows(self, observation_id: str) -> bool:
        """True once an event of this observation was folded."""
        return observation_id in self.touched or observation_id in self.observations

    def has(self, event_id: str, identity: bytes) -> bool:
        """True where this very event was folded."""
        return self.seen.get(event_id) == identity or f"{event_id}\x00{identity.hex()}" in self.seen

    @property
    def urgent(self) -> bool:
        """Something came that is written as soon as it can be: the first word, a trace event, a score, a tombstone."""
        return self.trace_touched or not self.written or bool(self.touched_scores) or bool(self.gone)

    def wrote(self, nodes: Iterable[Observation], *, whole: bool) -> bool:
        """Rows are on their way, some of those that are due; True where that ends a round (fold/catch_up.py).

        `whole`: or all of them, but for those whose content has to come back first; then it may begin one.
        """
        if self.round is not None:
            return self.round.wrote(nodes)
        if whole and self.unwritten:
            self.round = Round(self.unwritten)
        return False

    def add(self, event: Event, identity: bytes, offset: int, size: int, now: Micros = NEVER) -> Seen:
        """Fold one event in. `identity` is keys.event_identity, `offset` its place in the trace's partition.

        `size`: bytes of memory, see `weight`. `now` is the time of the partition's clock, from which open observations
        may wait for their row.
        """
        event_id, seen = event.event_id, self.seen
        before = len(seen)
        known = seen.setdefault(event_id, identity)
        if len(seen) == before:
            again = self._again(event_id, known, identity, offset)
            if again is not _NEW:
                return again
        self.size += size
        self.fold(event, identity, size, now)
        return _NEW

    def fold(self, event: Event, identity: bytes, size: int = 0, now: Micros = NEVER) -> None:
        """Take in what a distinct event says."""
        if event.derived_trace:
            self.derived = True
        kind, fields, at = event.kind, event.fields, event.at
        stamp = (at, event.event_id, identity)
        if kind is _SCORE:
            self._add_score(event, stamp)
            return
        self.revision += 1
        if at > self.latest_at:
            self.latest_at = at
        if kind is _TRACE:
            self._add_trace(fields, stamp)
        elif at > self.deleted_at:
            self._add_observation(event.entity_id, fields, stamp, size, now)
        else:
            self.hidden[event.entity_id] = None

    def restore(self, event: Event, identity: bytes, offset: int, size: int) -> Seen:
        """Fold in an event that the archive gave back, once had at `offset` (-1: of another partition)."""
        seen = self.add(event, identity, offset, size)
        if seen is _NEW:
            if self.restored is None:
                self.restored = {}
            self.restored[identity] = offset
        return seen

    def _again(self, event_id: str, known: bytes, identity: bytes, offset: int) -> Seen:
        """An event's identity is its id and its bytes; a second content under one id is kept under an extended id."""
        if known != identity:
            self.conflicting = True
            extended = f"{event_id}\x00{identity.hex()}"
            if extended not in self.seen:
                self.seen[extended] = identity
                return _NEW
        if self.restored is not None and self.restored.get(identity) == offset:
            self.rewrite = True
            return Seen.REDELIVERED
        return Seen.DUPLICATE

    def _add_trace(self, fields: Fields, stamp: Stamp) -> None:
        self.trace_touched = True
        if "deleted" not in fields:
            if stamp[0] > self.deleted_at:
                self.trace.add(stamp, fields)
        elif stamp[0] > self.deleted_at:
            self._hide(stamp[0])

    def _add_observation(self, id_: str, fields: Fields, stamp: Stamp, size: int, now: Micros) -> None:
        node = self.observations.get(id_)
        if node is None and (node := self.touched.get(id_)) is None:
            node = Observation(id_)
        node.add(stamp, fields)
        node.fields = None
        node.size += size
        if stamp[0] > node.last_at:
            node.last_at = stamp[0]
        self.touched[id_] = node
        if "end_time" in fields or fields.get("type") == "EVENT":
            node.ended = True
        if node.ended:
            self.ready = True
        elif not node.held_since:
            node.held_since = now
            if not self.held_since:
                self.held_since = now
        if not _CARRIED.isdisjoint(fields):
            carried = {name: value for name, value in fields.items() if name in _CARRIED}
            self.carried.add(stamp, cast(Fields, carried))

    def _add_score(self, event: Event, stamp: Stamp) -> None:
        id_, fields, at = event.entity_id, event.fields, event.at
        score = self.scores.get(id_)
        if score is None:
            score = self.scores[id_] = Score()
        self.touched_scores[id_] = None
        if at <= max(self.deleted_at, score.deleted_at):
            return
        if "deleted" in fields:
            score.deleted_at = at
            score.hide(at)
        else:
            score.add(stamp, fields)

    def _hide(self, until: Micros) -> None:
        """A tombstone: what was said of the trace until then is no opinion any more."""
        self.deleted_at = until
        self.rewrite = True
        self.trace.hide(until)
        self.carried.hide(until)
        for id_, score in self.scores.items():
            score.hide(until)
            self.touched_scores[id_] = None
        for id_, node in {**self.observations, **self.touched}.items():
            self._hide_observation(id_, node, until)

    def _hide_observation(self, id_: str, node: Observation, until: Micros) -> None:
        if node.first_at > until:
            return
        self.hidden[id_] = None
        if node.last_at > until:
            node.hide(until)
            node.fields = None
            self.touched[id_] = node
            return
        self.touched.pop(id_, None)
        if id_ in self.observations:
            self.gone[id_] = None
            self.tree.drop(node)
            self.totals.drop(node)
            self.unwritten.pop(node, None)
            if self.round is not None:
                self.round.owed.pop(node, None)


class Score(Layers):
    """The opinions about one score, and until when a tombstone hides them."""

    __slots__ = ("deleted_at",)

    def __init__(self) -> None:
        super().__init__()
        self.deleted_at = NEVER
