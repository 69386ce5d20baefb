"""What adding an event finds: new, a duplicate, or one delivered again; and what a trace counts."""

from itertools import permutations
from typing import Any

import pytest

from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.state import SKELETON, Seen, TraceState


def event(kind: Kind = Kind.OBSERVATION, entity: str = "o", event_id: str = "e", at: int = 5, **more: Any) -> Event:
    derived = more.pop("derived", False)
    return Event("p", "t", kind, entity, event_id, Micros(at), more, derived_trace=derived)  # type: ignore[arg-type]


@pytest.fixture
def state() -> TraceState:
    return TraceState("p", "t", Micros(1))


def test_the_same_event_is_a_duplicate_wherever_it_comes_from(state: TraceState) -> None:
    assert [state.add(event(), b"1", offset, 10) for offset in (7, 8, 7)] == [Seen.NEW, Seen.DUPLICATE, Seen.DUPLICATE]
    assert (state.event_count, state.revision, state.size - SKELETON, state.rewrite) == (1, 1, 10, False)


def test_what_the_archive_gave_back_is_a_redelivery_at_its_own_offset_alone(state: TraceState) -> None:
    assert state.restore(event(), b"1", 7, 10) is Seen.NEW
    assert (state.add(event(), b"1", 8, 10), state.rewrite) == (Seen.DUPLICATE, False)
    assert (state.add(event(), b"1", 7, 10), state.rewrite) == (Seen.REDELIVERED, True)
    assert (state.event_count, state.revision, state.size - SKELETON) == (1, 1, 10)


def test_what_came_from_another_partition_is_never_a_redelivery(state: TraceState) -> None:
    state.restore(event(), b"1", -1, 10)
    assert [state.add(event(), b"1", offset, 10) for offset in (0, 1)] == [Seen.DUPLICATE] * 2


def test_an_event_that_came_after_the_archive_answered_is_no_redelivery(state: TraceState) -> None:
    state.restore(event(event_id="old"), b"1", 1, 1)
    assert [state.add(event(event_id="new"), b"2", offset, 1) for offset in (5, 5)] == [Seen.NEW, Seen.DUPLICATE]
    assert not state.rewrite


def test_one_id_with_two_contents_is_two_events_whichever_came_first() -> None:
    for first, second in ((b"1", b"2"), (b"2", b"1")):
        state = TraceState("p", "t", Micros(1))
        assert [state.add(event(), identity, n, 1) for n, identity in enumerate((first, second))] == [Seen.NEW] * 2
        assert state.conflicting
        assert [state.add(event(), identity, 9, 1) for identity in (first, second)] == [Seen.DUPLICATE] * 2
        assert (state.event_count, state.revision) == (2, 2)


def test_the_offset_of_each_content_under_one_id_is_remembered(state: TraceState) -> None:
    for offset, identity in enumerate((b"1", b"2", b"3")):
        assert state.restore(event(), identity, offset, 1) is Seen.NEW
    for offset, identity in enumerate((b"1", b"2", b"3")):
        assert state.add(event(), identity, offset + 1, 1) is Seen.DUPLICATE
        assert state.add(event(), identity, offset, 1) is Seen.REDELIVERED


def test_scores_count_as_events_and_not_as_revisions(state: TraceState) -> None:
    state.add(event(Kind.SCORE, "s", "e1", at=9), b"1", 0, 1)
    state.add(event(Kind.TRACE, "t", "e2", at=3), b"2", 1, 1)
    assert (state.event_count, state.revision, state.latest_at) == (2, 1, 3)
    assert (bool(state.trace), state.touched, set(state.touched_scores)) == (True, {}, {"s"})


def test_events_that_the_archive_no_longer_has_are_counted(state: TraceState) -> None:
    state.base_count = 5
    state.add(event(), b"1", 0, 1)
    assert state.event_count == 6


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
    assert (state.touched["o"].first_at, state.latest_at) == (3, 9)


def test_attributes_of_the_trace_are_carried_from_observations(state: TraceState) -> None:
    state.add(event(user_id="u", name="span", tags=["x"]), b"1", 0, 1)
    assert state.carried.merged() == {"user_id": "u", "tags": ["x"]}


def test_a_derived_trace_stays_marked(state: TraceState) -> None:
    state.add(event(event_id="e1", derived=True), b"1", 0, 1)
    state.add(event(event_id="e2"), b"2", 1, 1)
    assert state.derived


@pytest.mark.parametrize(
    ("events", "urgent", "ready", "held_since"),
    [
        ([event(name="x")], True, False, 20),  # the first word
        ([event(end_time=1)], True, True, 0),
        ([event(type="EVENT")], True, True, 0),  # a moment
        ([event(), event(end_time=1, event_id="e2")], True, True, 20),
    ],
)
def test_what_may_wait_is_told_by_what_came(
    state: TraceState, events: list[Event], urgent: bool, ready: bool, held_since: int
) -> None:
    for number, each in enumerate(events):
        state.add(each, b"%d" % number, number, 1, Micros(20 + number))
    assert (state.urgent, state.ready, state.held_since) == (urgent, ready, held_since)


@pytest.mark.parametrize(
    ("each", "urgent"),
    [(event(), False), (event(Kind.TRACE, "t"), True), (event(Kind.SCORE, "s", name="n", value=1.0), True)],
)
def test_a_trace_that_was_written_is_in_a_hurry_for_scores_and_its_own_events(
    state: TraceState, each: Event, urgent: bool
) -> None:
    state.written = True
    state.add(each, b"1", 0, 1)
    assert state.urgent is urgent


def said(state: TraceState) -> tuple[Any, ...]:
    """What is left of a trace."""
    nodes = {**state.observations, **state.touched}
    scores = {id_: score.merged() for id_, score in state.scores.items() if score}
    return state.trace.merged(), {id_: node.merged() for id_, node in nodes.items()}, scores, state.carried.merged()


def test_a_tombstone_hides_what_is_not_newer_wherever_it_comes() -> None:
    told = [
        event(Kind.TRACE, "t", "e1", 3, name="old"),
        event(Kind.OBSERVATION, "gone", "e2", 5, user_id="u"),
        event(Kind.OBSERVATION, "both", "e3", 5, name="old", output="old"),
        event(Kind.OBSERVATION, "both", "e4", 6, name="new", release="r"),
        event(Kind.SCORE, "s", "e5", 5, value=1.0),
        event(Kind.TRACE, "t", "e6", 5, deleted=True),
        event(Kind.TRACE, "t", "e7", 4, deleted=True),
    ]
    for order in permutations(told):
        state = TraceState("p", "t", Micros(1))
        for number, each in enumerate(order):
            state.add(each, each.event_id.encode(), number, 1)
        assert said(state) == ({}, {"both": {"name": "new", "release": "r"}}, {}, {"release": "r"})
        assert (state.event_count, state.deleted_at, state.revision) == (7, 5, 6)
        assert set(state.hidden) == {"gone", "both"}


def test_the_tombstone_of_a_score_hides_that_score_alone() -> None:
    told = [
        event(Kind.SCORE, "s", "e1", 3, value=1.0),
        event(Kind.SCORE, "s", "e2", 4, deleted=True),
        event(Kind.SCORE, "s", "e3", 5, comment="again"),
        event(Kind.SCORE, "other", "e4", 1, value=2.0),
        event(Kind.OBSERVATION, "o", "e5", 1, name="x"),
    ]
    for order in permutations(told):
        state = TraceState("p", "t", Micros(1))
        for number, each in enumerate(order):
            state.add(each, each.event_id.encode(), number, 1)
        assert said(state) == ({}, {"o": {"name": "x"}}, {"s": {"comment": "again"}, "other": {"value": 2.0}}, {})
