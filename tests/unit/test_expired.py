"""A stored row in place of events that are gone: what it says, what it must not say, and how much it weighs."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.build import build, rest
from pipeline.fold.state import Seen, TraceState
from pipeline.store.lookups import StoredRow
from pipeline.store.rows import ObservationRow, ScoreRow, TraceRow
from pipeline.stream.expired import stand_in
from pipeline.stream.rows import Rows, add_rows

PRICE = ObservationPricer()
WHEN = ("updated_at", "row_version")
Json = dict[str, Any]


def say(state: TraceState, *told: tuple[Kind, str, Json], at: int = 10) -> TraceState:
    for kind, entity, fields in told:
        number = state.event_count
        event = Event("p", "t", kind, entity, f"e{at}-{number}", Micros(at), fields)  # type: ignore[arg-type]
        assert state.add(event, b"%016d" % (1000 * at + number), number, 1) is Seen.NEW
    return state


def written(state: TraceState) -> Rows:
    rows = Rows([], [], [])
    add_rows(rows, state, build(state, PRICE), settled=False, now=Micros(99))
    return rows


def stored(rows: Rows) -> list[StoredRow]:
    """As the store gives them back."""
    kinds = {TraceRow: ("trace", "trace_id", "start_time"), ScoreRow: ("score", "score_id", "at"),
             ObservationRow: ("observation", "observation_id", "start_time")}  # fmt: skip
    found = []
    for row in (each for some in rows for each in some):
        kind, id_, at = kinds[type(row)]
        found.append(StoredRow(kind, getattr(row, id_), getattr(row, at), row._asdict()))
    return found


def after(rows: Rows, events: int) -> TraceState:
    state = TraceState("p", "t", Micros(1))
    state.base_count = events
    stand_in(state, stored(rows))
    return state


TOLD: list[tuple[Kind, str, Json]] = [
    (Kind.TRACE, "t", {"name": "chat", "user_id": "u", "tags": ["b", "a"], "metadata": {"k": "v"}, "public": True}),
    (Kind.OBSERVATION, "root", {"name": "step", "start_time": 5, "end_time": 9, "type": "CHAIN", "level": "ERROR"}),
    (Kind.OBSERVATION, "call", {
        "parent_observation_id": "root", "start_time": 6, "end_time": 8, "type": "GENERATION", "model": "gpt-4o",
        "usage": {"promptTokens": 3}, "prompt_name": "p", "prompt_version": 2, "tool_calls": ["f"],
    }),
    (Kind.OBSERVATION, "paid", {"parent_observation_id": "root", "start_time": 6, "cost": {"total": Decimal("0.5")}}),
    (Kind.SCORE, "s", {"name": "good", "data_type": "NUMERIC", "value": 0.5, "string_value": "", "source": "API"}),
]  # fmt: skip


def test_rows_that_stand_in_for_their_events_are_written_the_same_again() -> None:
    before = written(say(TraceState("p", "t", Micros(1)), *TOLD))
    again = written(after(before, len(TOLD)))
    [old], [new] = before.traces, again.traces
    assert (old.flags, new.flags) == ([], ["archive_expired"])
    for was, now in ((before.observations, again.observations), (before.scores, again.scores)):
        assert sorted(_what(row) for row in was) == sorted(_what(row) for row in now)
    assert _what(old._replace(flags=[])) == _what(new._replace(flags=[]))
    assert new.row_version == old.row_version  # as many events stand behind it


def _what(row: Any) -> str:
    return repr({name: value for name, value in row._asdict().items() if name not in WHEN})


def test_what_comes_later_is_laid_over_it_and_counts_more() -> None:
    before = written(say(TraceState("p", "t", Micros(1)), *TOLD))
    state = after(before, len(TOLD))
    rest(state, PRICE)
    assert written(state).observations == []
    say(state, (Kind.OBSERVATION, "call", {"name": "late", "usage": {"input": 7}}), at=20)
    rows = written(state)
    [call] = [row for row in rows.observations if row.observation_id == "call"]
    assert (call.name, call.model, call.usage["input"], call.prompt_version) == ("late", "gpt-4o", 7, 2)
    assert call.row_version > before.observations[0].row_version
    assert rows.traces[0].flags == ["archive_expired"]


def test_a_start_that_was_made_up_is_no_ones_word() -> None:
    before = written(say(TraceState("p", "t", Micros(1)), (Kind.OBSERVATION, "o", {"name": "x"})))
    assert before.observations[0].flags == ["provisional_start"]
    again = written(after(before, 1)).observations[0]
    assert (again.start_time, again.flags) == (10, ["provisional_start"])
    state = after(before, 1)
    later = written(say(state, (Kind.OBSERVATION, "o", {"start_time": 30}), at=20)).observations[0]
    assert (later.start_time, later.flags) == (30, [])


@pytest.mark.parametrize(
    ("fields", "source"),
    [({"model": "gpt-4o", "usage": {"input": 3}}, "computed"), ({"cost": {"total": Decimal(1)}}, "provided")],
)
def test_a_cost_that_was_computed_is_computed_again(fields: Json, source: str) -> None:
    before = written(say(TraceState("p", "t", Micros(1)), (Kind.OBSERVATION, "o", fields | {"start_time": 1})))
    row = written(after(before, 1)).observations[0]
    assert (row.cost_source, row.cost) == (source, before.observations[0].cost)
