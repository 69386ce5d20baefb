"""I1: the rows of a trace are a function of the set of its distinct events, whatever the order and the restarts."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cost.price import ObservationPricer
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.fold.build import build
from pipeline.fold.layers import COMPACT_ABOVE, Layers
from pipeline.fold.state import Seen, TraceState
from pipeline.stream.rows import rows_of

PRICE = ObservationPricer()
WHEN = {"first_seen", "updated_at", "row_version", "settled"}  # columns that tell when, not what
FIRST_SEEN = Micros(1)


class Sent(NamedTuple):
    """An event as it lies in the log: `raw` stands for its bytes."""

    event: Event
    raw: bytes

    @property
    def identity(self) -> bytes:
        return event_identity(self.event.event_id, self.raw)


# Few values on purpose: equal times, equal ids and equal keys must be common.
TIMES = st.integers(0, 4)
NAMES = st.sampled_from(["", "a", "b"])
# One observation gets most events, so that its layers are compacted more than once.
OBSERVATIONS = st.sampled_from(["o1", "o1", "o1", "o1", "o2", "o3", "o4"])
VALUES = [None, {}, 0, 1, "", [1], {"x": 1}, {"x": 2, "y": 1}, {"y": 2, "x": None}, {"y": {"z": 1}}, {"y": {}, "z": 3}]
METADATA = st.dictionaries(st.sampled_from("ab"), st.sampled_from(VALUES), max_size=2)
TAGS = st.lists(st.sampled_from(["red", "green", "blue"]), max_size=3)
COMMON = {"metadata": METADATA, "tags": TAGS, "user_id": NAMES, "session_id": NAMES, "release": NAMES,
          "public": st.booleans(), "version": NAMES, "environment": st.sampled_from(["default", "live"]),
          "input": NAMES, "output": NAMES, "start_time": TIMES}  # fmt: skip
TRACE_FIELDS = st.fixed_dictionaries({}, optional={**COMMON, "name": NAMES})
OBSERVATION_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **COMMON,
        "name": NAMES,
        "trace_name": NAMES,
        "parent_observation_id": OBSERVATIONS | st.sampled_from(["", "elsewhere"]),
        "type": st.sampled_from(["SPAN", "GENERATION", "EVENT"]),
        "type_provisional": st.sampled_from(["SPAN", "GENERATION"]),
        "end_time": TIMES,
        "completion_start_time": TIMES,
        "level": st.sampled_from(["DEBUG", "DEFAULT", "WARNING", "ERROR"]),
        "model": st.sampled_from(["gpt-4o", "nobody-knows-me", ""]),
        "usage": st.dictionaries(st.sampled_from(["input", "output", "total", "prompt_tokens"]), st.integers(0, 3)),
        "cost": st.dictionaries(st.sampled_from(["input", "total"]), st.decimals(0, 2, places=12), max_size=2),
    },
)
SCORE_FIELDS = st.one_of(
    st.fixed_dictionaries({"data_type": st.just("NUMERIC"), "value": st.floats(0, 1), "string_value": st.just("")}),
    st.fixed_dictionaries({"data_type": st.just("CATEGORICAL"), "string_value": NAMES}),
).flatmap(lambda value: st.fixed_dictionaries({k: st.just(v) for k, v in value.items()},
                                              optional={"name": NAMES, "metadata": METADATA}))  # fmt: skip


def _sent(kind: Kind, entity: str, event_id: str, at: int, fields: Any, derived: bool) -> Sent:
    event = Event("p", "t", kind, entity, event_id, Micros(at), fields, True, derived)
    return Sent(event, repr(event).encode())


def _events(kind: Kind, entities: Any, fields: Any, ids: Any) -> st.SearchStrategy[Sent]:
    return st.builds(_sent, st.just(kind), entities, ids, TIMES, fields, st.sampled_from([False, False, False, True]))


IDS = st.integers(0, 30).map("e{}".format)  # the same id with another content is common, too
EVENTS = st.one_of(
    _events(Kind.TRACE, st.just("t"), TRACE_FIELDS, IDS),
    _events(Kind.OBSERVATION, OBSERVATIONS, OBSERVATION_FIELDS, IDS),
    _events(Kind.OBSERVATION, OBSERVATIONS, OBSERVATION_FIELDS, IDS),
    _events(Kind.SCORE, st.sampled_from(["s1", "s2"]), SCORE_FIELDS, IDS),
)
DISTINCT = st.sampled_from([1, 1, 30]).flatmap(
    lambda least: st.lists(EVENTS, min_size=least, max_size=max(least, 10), unique_by=lambda sent: sent.identity)
)


def _state(events: Iterable[Sent]) -> TraceState:
    state = TraceState("p", "t", FIRST_SEEN)
    for offset, sent in enumerate(events):
        assert state.add(sent.event, sent.identity, offset, len(sent.raw)) is Seen.NEW
    return state


def _what(row: Any) -> tuple[Any, ...]:
    """A row without the columns that tell when; maps as ordered pairs, for the bytes in the store have an order."""
    columns = row._asdict()
    return tuple(
        (name, tuple(value.items()) if isinstance(value, dict) else value)
        for name, value in columns.items()
        if name not in WHEN
    )


def _key(row: Any) -> tuple[str, str]:
    return type(row).__name__, getattr(row, "score_id", "") or getattr(row, "observation_id", "")


class Table:
    """ReplacingMergeTree: of each key the highest version stays, of equal versions the last one written."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Any] = {}

    def write(self, state: TraceState) -> None:
        for rows in rows_of(state, build(state, PRICE), settled=False, now=Micros(len(self.rows))):
            for row in rows:
                key = _key(row)
                old = self.rows.get(key)
                if old is None or row.row_version >= old.row_version:
                    self.rows[key] = row
                if old is not None and row.row_version == old.row_version:
                    assert _what(row) == _what(old), "two rows of one version differ"

    def what(self) -> dict[tuple[str, str], Any]:
        return {key: _what(row) for key, row in self.rows.items()}


def _at_once(events: Sequence[Sent]) -> dict[tuple[str, str], Any]:
    table = Table()
    table.write(_state(events))
    return table.what()


@given(DISTINCT, st.data())
def test_i1_any_order_gives_the_same_rows(events: list[Sent], data: st.DataObject) -> None:
    assert _at_once(data.draw(st.permutations(events))) == _at_once(events)


@given(DISTINCT, st.data())
def test_i1_repeated_events_change_nothing(events: list[Sent], data: st.DataObject) -> None:
    state = TraceState("p", "t", FIRST_SEEN)
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=20))
    order = data.draw(st.permutations(events + repeats))
    new = [state.add(sent.event, sent.identity, offset, 1) for offset, sent in enumerate(order)].count(Seen.NEW)
    table = Table()
    table.write(state)
    assert (new, table.what()) == (len(events), _at_once(events))


STEPS = st.lists(st.sampled_from(["build", "crash", "take", "take", "take"]), max_size=60)


@settings(max_examples=200)
@given(DISTINCT, STEPS, st.data())
def test_i1_flushes_evictions_and_restarts_leave_the_same_table(
    events: list[Sent], steps: list[str], data: st.DataObject
) -> None:
    """Rows are written at any moment; a crash folds what was archived again, in the archive's own order."""
    waiting = list(data.draw(st.permutations(events)))
    archive: list[Sent] = []
    table, state = Table(), _state([])
    for step in [*steps, *["take"] * len(events)]:
        if step == "take" and waiting:
            sent = waiting.pop()
            state.add(sent.event, sent.identity, len(archive), 1)
            archive.append(sent)
        elif step == "crash":
            state = _state(sorted(archive, key=lambda sent: (sent.event.event_id, sent.identity)))
        elif step == "build" and archive:
            table.write(state)
    table.write(state)
    assert table.what() == _at_once(events)


LAYERS = st.lists(
    st.fixed_dictionaries({}, optional={"metadata": METADATA, "tags": TAGS, "name": NAMES}),
    min_size=COMPACT_ABOVE + 1,
    max_size=4 * COMPACT_ABOVE,
)


@settings(max_examples=400)
@given(LAYERS, st.data())
def test_i1_compaction_cannot_be_seen(opinions: list[Fields], data: st.DataObject) -> None:
    """However often it ran, and whatever was under the layers at that time."""
    never, often = Layers(), Layers()
    never._compact_above = len(opinions)
    for number in data.draw(st.permutations(range(len(opinions)))):
        stamp = (Micros(number), "", b"")
        never.add(stamp, opinions[number])
        often.add(stamp, opinions[number])
        often._compact()
        assert _meaning(often) == _meaning(never)


def _meaning(layers: Layers) -> tuple[Any, ...]:
    fields = layers.merged()
    return fields.get("metadata", {}), set(fields.get("tags", ())), fields.get("name"), layers.latest()
