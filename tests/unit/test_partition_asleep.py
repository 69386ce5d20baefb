"""Open traces that left memory: when they are called, what wakes them, and how many may wait to be read back."""

import asyncio
from typing import Any

import pytest

from pipeline.events.model import Micros
from pipeline.stream import partition as module
from pipeline.stream.partition import WAKE_AT_ONCE, Partition
from tests.fixtures.partition import due, key, partition, pass_, settle, take


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


def test_a_sleeping_trace_that_has_ended_is_called_as_soon_as_it_was_quiet() -> None:
    part = partition()
    part.fall_asleep(key("ended"), "p", ended=True)
    part.fall_asleep(key("running"), "p", ended=False)
    pass_(part, 2)
    assert (due(part), part.asleep()) == ([], [("p", "ended")])
    pass_(part, 60)
    assert (due(part), part.asleep()) == ([], [("p", "running")])


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
