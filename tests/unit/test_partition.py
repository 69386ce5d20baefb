"""One partition's memory: what settles early, what leaves, and what is known of what left."""

import pytest

from pipeline.events.model import Event, Kind, Micros
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition


def partition(traces: int = 100, size: int = 10_000) -> Partition:
    return Partition(TopicPartition("events", 0), Limits(quiet=2, idle=60, traces=traces, bytes=size))


def take(part: Partition, *names: str, size: int = 100) -> None:
    for name in names:
        key = f"p/{name}".encode()
        state = part.create(key, "p", name, Micros(1))
        state.add(Event("p", name, Kind.TRACE, name, "e", Micros(1), {}), name.encode(), 0, size)
        part.size += size
        part.touched(key)


def settle(part: Partition, *names: str) -> None:
    for name in names:
        part.settle(f"p/{name}".encode())


def test_an_event_opens_a_settled_trace_again() -> None:
    part = partition()
    take(part, "a")
    settle(part, "a")
    assert part.is_settled(b"p/a")
    part.touched(b"p/a")
    assert not part.is_settled(b"p/a")
    assert len(part.open) == 1


def test_settled_traces_leave_oldest_first_until_the_limits_hold() -> None:
    part = partition(traces=2)
    take(part, "a", "b", "c", "d")
    settle(part, "b", "a", "c")
    assert part.evict(busy=()) == 2
    assert list(part.traces) == [b"p/c", b"p/d"]
    assert (part.size, list(part.settled)) == (200, [b"p/c"])


def test_what_left_memory_is_perhaps_archived() -> None:
    part = partition(traces=1)
    take(part, "a", "b")
    assert not part.perhaps_archived("p", "a")
    settle(part, "a")
    part.evict(busy=())
    assert part.perhaps_archived("p", "a")
    assert not part.perhaps_archived("p", "b")


@pytest.mark.parametrize("pinned", [False, True])
def test_a_trace_whose_rows_are_not_durable_or_that_is_pinned_stays(pinned: bool) -> None:
    part = partition(traces=1)
    take(part, "a", "b", "c")
    settle(part, "a", "b")
    if pinned:
        part.pinned.add(b"p/a")
    assert part.evict(busy=() if pinned else {b"p/a"}) == 1
    assert list(part.traces) == [b"p/a", b"p/c"]


def test_open_traces_never_leave() -> None:
    part = partition(traces=1)
    take(part, "a", "b", "c")
    assert part.evict(busy=()) == 0


def test_bytes_are_a_limit_as_well_as_traces() -> None:
    part = partition(size=250)
    take(part, "a", "b", "c", "d")
    settle(part, "a", "b", "c", "d")
    assert part.evict(busy=()) == 2
    assert part.size == 200


def test_too_many_open_traces_settle_early_those_silent_longest_first() -> None:
    part = partition(traces=2)
    take(part, "a", "b", "c", "d")
    part.touched(b"p/a")
    assert list(part.due(now=0)) == [(b"p/b", True), (b"p/c", True)]


def test_too_many_bytes_settle_an_eighth_early_but_only_where_nothing_settled_could_leave() -> None:
    part = partition(size=250)
    take(part, *"abcdefghijklmnop")
    assert list(part.due(now=0)) == [(b"p/a", True), (b"p/b", True)]
    settle(part, "a", "b")
    assert list(part.due(now=0)) == []


def test_a_quiet_trace_may_settle_and_an_idle_one_must() -> None:
    part = partition()
    take(part, "a")
    heard = part.open._active[b"p/a"]
    assert list(part.due(heard + 1)) == []
    assert list(part.due(heard + 2)) == [(b"p/a", False)]
    assert list(part.due(heard + 60)) == [(b"p/a", True)]
