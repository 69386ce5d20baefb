"""What adding an event finds: new, a duplicate, or one delivered again; and what a trace counts."""

from typing import Any

import pytest

from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.state import Seen, TraceState


def event(kind: Kind = Kind.OBSERVATION, entity: str = "o", event_id: str = "e", at: int = 5, **more: Any) -> Event:
    derived = more.pop("derived", False)
    return Event("p", "t", kind, entity, event_id, Micros(at), more, derived_trace=derived)  # type: ignore[arg-type]


@pytest.fixture
def state() -> TraceState:
    return TraceState("p", "t", Micros(1))


def test_the_same_event_at_another_offset_is_a_duplicate_at_the_same_offset_a_redelivery(state: TraceState) -> None:
    assert [state.add(event(), b"1", offset, 10) for offset in (7, 8, 7)] == [
        Seen.NEW, Seen.DUPLICATE, Seen.REDELIVERED,
    ]  # fmt: skip
    assert (state.event_count, state.revision, state.size) == (1, 1, 10)


def test_one_id_with_two_contents_is_two_events_whichever_came_first() -> None:
    for first, second in ((b"1", b"2"), (b"2", b"1")):
        state = TraceState("p", "t", Micros(1))
        assert [state.add(event(), identity, n, 1) for n, identity in enumerate((first, second))] == [Seen.NEW] * 2
        assert state.conflicting
        assert [state.add(event(), identity, 9, 1) for identity in (first, second)] == [Seen.DUPLICATE] * 2
        assert (state.event_count, state.revision) == (2, 2)


def test_the_offset_of_each_content_is_remembered(state: TraceState) -> None:
    for offset, identity in enumerate((b"1", b"2", b"3")):
        state.add(event(), identity, offset, 1)
    assert [state.add(event(), identity, n, 1) for n, identity in enumerate((b"1", b"2", b"3"))] == (
        [Seen.REDELIVERED] * 3
    )


def test_scores_count_as_events_and_not_as_revisions(state: TraceState) -> None:
    state.add(event(Kind.SCORE, "s", "e1", at=9), b"1", 0, 1)
    state.add(event(Kind.TRACE, "t", "e2", at=3), b"2", 1, 1)
    assert (state.event_count, state.revision, state.latest_at, state.first_at) == (2, 1, 3, 3)
    assert (state.stated, state.touched, state.touched_scores) == (True, set(), {"s"})


def test_a_group_of_scores_has_a_trace_row_only_once_something_else_was_said() -> None:
    group = TraceState("p", "session:s", Micros(1))
    group.add(event(Kind.SCORE, "s"), b"1", 0, 1)
    assert not group.has_trace_row
    group.add(event(Kind.TRACE, "session:s", "e2"), b"2", 1, 1)
    assert group.has_trace_row
    assert TraceState("p", "t", Micros(1)).has_trace_row


def test_the_earliest_event_time_is_kept_for_each_observation(state: TraceState) -> None:
    for number, at in enumerate((5, 3, 9)):
        state.add(event(event_id=f"e{number}", at=at), b"%d" % number, number, 1)
    assert (state.observations["o"].first_at, state.latest_at) == (3, 9)


def test_attributes_of_the_trace_are_carried_from_observations(state: TraceState) -> None:
    state.add(event(user_id="u", name="span", tags=["x"]), b"1", 0, 1)
    assert state.carried.merged() == {"user_id": "u", "tags": ["x"]}


def test_a_derived_trace_stays_marked(state: TraceState) -> None:
    state.add(event(event_id="e1", derived=True), b"1", 0, 1)
    state.add(event(event_id="e2"), b"2", 1, 1)
    assert state.derived
