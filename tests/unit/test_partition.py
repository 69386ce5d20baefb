"""One partition's memory: what settles and when, what leaves, and what its rows wait for."""

import pytest

from pipeline.events.model import Micros
from pipeline.fold.catch_up import Round
from pipeline.fold.state import SKELETON
from pipeline.stream.part import Part
from tests.fixtures.partition import due, key, partition, pass_, settle, take


def test_an_event_opens_a_settled_trace_again() -> None:
    part = partition()
    take(part, "a")
    settle(part, "a")
    assert part.is_settled(b"p/a")
    part.touched(b"p/a", part.clock())
    assert not part.is_settled(b"p/a")
    assert len(part.open) == 1


def test_a_quiet_trace_may_settle_and_an_idle_one_must() -> None:
    part = partition()
    take(part, "a")
    found = []
    for seconds in (1, 1, 57, 1, 1):
        pass_(part, seconds)
        found.append(due(part))
    assert found == [[], [("a", False)], [], [("a", True)], []]


def test_a_lively_trace_settles_after_the_longest_time_and_opens_again() -> None:
    part = partition(longest=10)
    take(part, "a", "b")
    for _ in range(9):
        pass_(part, 1)
        take(part, "a")
        assert ("a", True) not in due(part)
    pass_(part, 1)
    assert due(part) == [("a", True), ("b", True)]
    take(part, "a")
    pass_(part, 1)
    assert due(part) == []
    for _ in range(9):
        pass_(part, 1)
        take(part, "a")
    assert due(part) == [("a", True)]


def test_too_many_open_traces_settle_early_those_silent_longest_first() -> None:
    part = partition(open=2)
    take(part, "a", "b", "c", "d")
    take(part, "a")
    assert due(part) == [("b", True), ("c", True)]
    assert due(part) == []


def test_settled_traces_leave_oldest_first_until_the_limits_hold() -> None:
    part = partition(traces=2)
    take(part, "a", "b", "c", "d")
    settle(part, "b", "a", "c")
    assert part.evict() == 2
    assert list(part.traces) == [b"p/c", b"p/d"]
    assert (part.size, list(part.settled), part.sleeping) == (200, [b"p/c"], {})


def test_open_traces_fall_asleep_those_heard_of_longest_ago_first_once_no_settled_one_is_left() -> None:
    part = partition(traces=2)
    take(part, "a", "b", "c", "d")
    take(part, "a")
    settle(part, "d")
    assert part.evict() == 2
    assert (list(part.traces), list(part.sleeping)) == ([b"p/c", b"p/a"], [b"p/b"])
    assert len(part.open) == 3  # the sleeping one still waits for its time
    assert list(part.opened) == [b"p/a", b"p/c"]


def test_bytes_are_a_limit_as_well_as_traces() -> None:
    part = partition(bytes=250)
    take(part, "a", "b", "c", "d")
    settle(part, "a", "b", "c", "d")
    assert (part.evict(), part.size) == (2, 200)
    assert (part.evict(), part.size) == (0, 200)


def test_where_memory_is_short_traces_leave_until_a_share_of_the_limit_holds() -> None:
    part = partition(bytes=400)
    take(part, "a", "b", "c", "d")
    settle(part, "a", "b", "c", "d")
    assert (part.evict(), part.size) == (0, 400)
    assert (part.evict(0.5), part.size) == (2, 200)


def test_a_giant_trace_leaves_alone_where_that_is_enough() -> None:
    part = partition(bytes=1000)
    take(part, "giant", size=5000)
    take(part, "a", "b")
    assert part.evict() == 1
    assert list(part.traces) == [b"p/a", b"p/b"]


@pytest.mark.parametrize("how", ["pinned", "unwritten"])
@pytest.mark.parametrize("settled", [True, False])
def test_a_trace_whose_rows_are_not_durable_or_that_is_pinned_stays(how: str, settled: bool) -> None:
    part = partition(traces=1)
    take(part, "a", "b", "c")
    if settled:
        settle(part, "a", "b")
    if how == "pinned":
        part.pinned.add(b"p/a")
    else:
        part.changed(b"p/a", part.traces[b"p/a"], Part(), part.clock())
    assert part.evict() == 2
    assert list(part.traces) == [b"p/a"]
    part.pinned.clear()
    part.unwritten.clear()
    part.limits = part.limits._replace(traces=0)
    assert part.evict() == 1


def test_what_left_memory_is_perhaps_archived() -> None:
    part = partition(traces=1)
    take(part, "a", "b")
    assert not part.perhaps_archived("p", "a")
    settle(part, "a")
    part.evict()
    assert part.perhaps_archived("p", "a")
    assert not part.perhaps_archived("p", "b")


def test_a_trace_holds_the_part_in_which_its_rows_began_to_be_out_of_date() -> None:
    part, first, second = partition(), Part(), Part()
    take(part, "a")
    state = part.traces[b"p/a"]
    part.changed(b"p/a", state, first, part.clock())
    began = part.clock()
    later = pass_(part, 1)
    part.changed(b"p/a", state, second, later)
    assert (first.holders, second.holders, state.unwritten_since, state.heard) == (1, 0, began, later)
    assert (part.written(b"p/a", state), state.holder, part.unwritten) == (first, None, {})
    assert part.written(b"p/a", state) is None
    assert first.holders == 1  # until the rows are durable
    part.changed(b"p/a", state, second, later)
    assert (second.holders, state.unwritten_since) == (1, later)


def test_a_trace_that_caught_up_holds_the_part_of_what_came_since_the_round_began() -> None:
    part, first, second, third = partition(), Part(), Part(), Part()
    take(part, "a")
    state = part.traces[b"p/a"]
    part.changed(b"p/a", state, first, part.clock())
    state.round = Round([])
    for later in (second, third):
        part.changed(b"p/a", state, later, part.clock())
    now = pass_(part, 1)
    assert (part.caught_up(state, now), state.holder, state.round) == (first, second, None)
    assert (first.holders, second.holders, third.holders, state.unwritten_since) == (1, 1, 0, now)
    state.round = Round([])
    assert (part.caught_up(state, now), state.holder) == (second, None), "nothing came since"
    state.round = Round([])
    part.changed(b"p/a", state, third, part.clock())
    assert (state.holder, state.round) == (third, None), "what came in a round that held nothing is in none yet"
    assert list(part.unwritten) == [b"p/a"]


def test_a_trace_counts_more_than_its_events() -> None:
    part = partition()
    part.create(key("a"), "p", "a", Micros(1))
    assert part.size == SKELETON
