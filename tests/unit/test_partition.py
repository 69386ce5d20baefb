"""One partition's memory: what settles and when, what leaves and falls asleep, and what is known of what left."""

import asyncio
from typing import Any

import pytest

from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.catch_up import Round
from pipeline.fold.state import SKELETON
from pipeline.stream import partition as module
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part
from pipeline.stream.partition import SECOND, WAKE_AT_ONCE, Limits, Partition


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> Micros:
        return Micros(self.now * SECOND)


def partition(**limits: Any) -> Partition:
    given = {
        "quiet": 2,
        "idle": 60,
        "longest": 1000,
        "traces": 100,
        "bytes": 10_000,
        "open": 100,
        "trace_bytes": 10_000,
    }
    given |= limits
    return Partition(TopicPartition("events", 0), Limits(**given), Clock())


def pass_(part: Partition, seconds: int) -> Micros:
    assert isinstance(part.clock, Clock)
    part.clock.now += seconds
    return part.clock()


def key(name: str, project: str = "p") -> bytes:
    return f"{project}/{name}".encode()


def take(part: Partition, *names: str, size: int = 100, project: str = "p") -> None:
    """A trace event comes, and its rows are written. What a trace counts beside its events is left out of it here."""
    for name in names:
        state = part.traces.get(key(name, project))
        if state is None:
            state = part.create(key(name, project), project, name, Micros(1))
            state.size -= SKELETON
            part.size -= SKELETON
        number = state.event_count
        event = Event(project, name, Kind.TRACE, name, f"e{number}", Micros(1), {})
        state.add(event, b"%016d" % number, number, size)
        part.size += size
        part.touched(key(name, project), part.clock())


def settle(part: Partition, *names: str) -> None:
    for name in names:
        part.settle(key(name))


def due(part: Partition) -> list[tuple[str, bool]]:
    """What is due now; what is certain settles."""
    found = [(name.decode().partition("/")[2], certain) for name, certain in part.due(part.clock())]
    settle(part, *(name for name, certain in found if certain))
    return found


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


def asleep(*names: str, project: str = "p", **limits: Any) -> Partition:
    part = partition(traces=0, **limits)
    take(part, *names, project=project)
    for state in part.traces.values():
        state.totals.open = 1  # an observation that has not ended
    assert part.evict() == len(names)
    return part


def read_back(part: Partition, *names: str) -> None:
    for name in names:
        part.create(key(name), "p", name, Micros(1))


def test_a_sleeping_trace_is_called_when_it_was_idle_and_settles_when_it_is_back() -> None:
    part = asleep("a")
    pass_(part, 59)
    assert (due(part), part.asleep()) == ([], [])
    pass_(part, 1)
    assert (due(part), part.asleep()) == ([], [("p", "a")])
    assert part.asleep() == []  # called for once
    read_back(part, "a")
    part.wake([("p", "a")])
    assert due(part) == [("a", True)]
    assert (due(part), part.woken, part.sleeping, len(part.open)) == ([], {}, {}, 0)


def test_a_sleeping_trace_that_has_not_ended_is_not_called_when_it_is_quiet() -> None:
    part = asleep("a")
    pass_(part, 5)  # quiet
    assert (due(part), part.asleep()) == ([], [])


@pytest.mark.parametrize("project", ["p", "ü", "a/b"])
def test_a_sleeping_trace_is_called_by_its_own_names(project: str) -> None:
    part = asleep("t", "t/ö", project=project)
    pass_(part, 60)
    assert (due(part), part.asleep()) == ([], [(project, "t"), (project, "t/ö")])


def test_an_event_wakes_a_sleeping_trace_and_its_wait_starts_anew() -> None:
    part = asleep("a")
    pass_(part, 59)
    take(part, "a")
    pass_(part, 1)
    assert (due(part), part.asleep(), part.sleeping) == ([], [], {})
    pass_(part, 1)
    assert due(part) == [("a", False)]


def test_one_that_settled_or_is_not_there_does_not_wake() -> None:
    part = partition()
    take(part, "settled")
    settle(part, "settled")
    part.wake([("p", "settled"), ("p", "away")])
    assert (part.woken, due(part)) == ({}, [])


def test_one_that_left_again_before_it_could_settle_is_forgotten_as_woken() -> None:
    part = asleep("a")
    read_back(part, "a")
    part.wake([("p", "a")])
    part.traces.clear()
    assert (due(part), part.woken) == ([], {})


def test_one_that_was_read_back_to_settle_does_not_leave_before_it_does_however_short_memory_is() -> None:
    part = asleep("a")
    pass_(part, 60)
    assert (due(part), part.asleep()) == ([], [("p", "a")])
    for number in range(3):  # more comes during each flush than there is room for
        take(part, f"new{number}", size=20_000)
        part.unwritten[key(f"new{number}")] = part.traces[key(f"new{number}")]
    read_back(part, "a")
    part.wake([("p", "a")])
    part.evict(0.1)
    assert due(part) == [("a", True)]
    part.evict(0.1)
    assert key("a") not in part.traces
    assert (part.sleeping, part.woken) == ({}, {})


def test_sleeping_traces_are_called_some_at_a_time() -> None:
    part = partition()
    for number in range(WAKE_AT_ONCE + 1):
        part.fall_asleep(key(str(number)), "p", ended=False)
    pass_(part, 60)
    due(part)
    assert [len(part.asleep()) for _ in range(3)] == [WAKE_AT_ONCE, 1, 0]


def test_too_many_sleeping_traces_are_called_early() -> None:
    part = asleep("a", "b", "c", open=1)
    assert (due(part), part.asleep()) == ([], [("p", "a"), ("p", "b")])


def test_traces_that_were_open_elsewhere_settle_when_they_were_idle_here() -> None:
    part = partition()
    take(part, "here")
    part.fall_asleep(key("elsewhere"), "p", ended=False)
    pass_(part, 60)
    assert sorted(due(part)) == [("here", False), ("here", True)]
    assert part.asleep() == [("p", "elsewhere")]


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


def test_a_sleeping_trace_that_has_ended_is_called_as_soon_as_it_was_quiet() -> None:
    part = partition()
    part.fall_asleep(key("ended"), "p", ended=True)
    part.fall_asleep(key("running"), "p", ended=False)
    pass_(part, 2)
    assert (due(part), part.asleep()) == ([], [("p", "ended")])
    pass_(part, 60)
    assert (due(part), part.asleep()) == ([], [("p", "running")])


def test_a_trace_counts_more_than_its_events() -> None:
    part = partition()
    part.create(key("a"), "p", "a", Micros(1))
    assert part.size == SKELETON


def test_what_is_called_for_but_not_handed_over_still_sleeps_and_an_event_takes_it_from_the_queue() -> None:
    part = asleep("a", "b", "c", "d", open=1)
    assert (due(part), list(part.sleeping)) == ([], [key(name) for name in "abcd"])
    assert part.asleep(room=1) == [("p", "a")]
    assert (part.asleep(room=0), part.asleep(room=-5)) == ([], [])
    take(part, "b")
    assert (part.asleep(), list(part.sleeping)) == ([("p", "c")], [key("d")])


async def test_who_brings_more_traces_waits_while_too_many_are_to_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """I6: a worker whose store is slow does not collect names of traces without end."""
    monkeypatch.setattr(module, "WAKE_AT_ONCE", 2)
    part = asleep(*(f"t{number}" for number in range(6)), open=2)
    assert not part.is_crowded
    waits = [asyncio.create_task(part.until_fewer())]
    await asyncio.sleep(0)
    assert not waits[0].done(), "six are open, two may be, and two more wait"
    due(part)
    assert part.is_crowded
    waits.append(asyncio.create_task(part.until_calm()))
    assert len(part.asleep(1)) == 1
    await asyncio.sleep(3 * module.SECONDS_TO_LOOK)
    assert [task.done() for task in waits] == [False, False]
    assert len(part.asleep(1)) == 1
    await asyncio.wait_for(asyncio.gather(*waits), 5)


async def test_nobody_waits_for_a_partition_that_is_gone() -> None:
    part = partition()
    for number in range(3 * WAKE_AT_ONCE):
        part.fall_asleep(key(str(number)), "p", ended=False)
    due(part)
    assert part.is_crowded
    part.revoked = True
    await asyncio.wait_for(asyncio.gather(part.until_calm(), part.until_fewer()), 5)
