"""When a trace settles: quiet and ended, or quiet for long. Times are seconds of a clock that the test owns."""

import pytest

from pipeline.stream.settle import SettleQueue


@pytest.fixture
def queue() -> SettleQueue[str]:
    return SettleQueue(quiet=2, idle=60)


def test_a_trace_is_quiet_after_the_wait_and_told_once(queue: SettleQueue[str]) -> None:
    queue.heard("a", 10)
    assert list(queue.quiet(11.9)) == []
    assert list(queue.quiet(12)) == ["a"]
    assert list(queue.quiet(13)) == []
    assert len(queue) == 1


def test_every_event_starts_the_wait_anew(queue: SettleQueue[str]) -> None:
    queue.heard("a", 10)
    queue.heard("b", 11)
    queue.heard("a", 12)
    assert list(queue.quiet(13)) == ["b"]
    assert list(queue.quiet(14)) == ["a"]


def test_a_quiet_trace_without_an_end_settles_when_it_was_idle_for_long(queue: SettleQueue[str]) -> None:
    queue.heard("a", 10)
    assert list(queue.quiet(20)) == ["a"]
    assert list(queue.idle(69.9)) == []
    assert list(queue.idle(70)) == ["a"]
    assert (list(queue.idle(1000)), len(queue)) == ([], 0)


def test_an_event_brings_a_waiting_trace_back(queue: SettleQueue[str]) -> None:
    queue.heard("a", 10)
    assert list(queue.quiet(12)) == ["a"]
    queue.heard("a", 69)
    assert list(queue.idle(100)) == []
    assert list(queue.quiet(100)) == ["a"]
    assert len(queue) == 1


def test_what_is_settled_is_forgotten_wherever_it_was(queue: SettleQueue[str]) -> None:
    queue.heard("a", 10)
    assert list(queue.quiet(12)) == ["a"]
    queue.heard("b", 12)
    for key in ("a", "b", "never heard of"):
        queue.forget(key)
    assert (len(queue), list(queue.quiet(99)), list(queue.idle(99))) == (0, [], [])


def test_the_trace_that_was_asked_about_may_be_forgotten_while_asking(queue: SettleQueue[str]) -> None:
    for at, key in enumerate("abc"):
        queue.heard(key, at)
    for key in queue.quiet(100):
        queue.forget(key)
    assert len(queue) == 0


def test_the_oldest_are_those_silent_longest_and_they_leave(queue: SettleQueue[str]) -> None:
    queue.heard("waits", 1)
    assert list(queue.quiet(3)) == ["waits"]
    for at, key in enumerate("abc", start=3):
        queue.heard(key, at)
    assert list(queue.oldest(2)) == ["waits", "a"]
    assert len(queue) == 2
    assert list(queue.oldest(-1)) == []
    assert list(queue.oldest(99)) == ["b", "c"]


def test_what_was_open_elsewhere_settles_when_it_was_idle_unless_it_is_heard_of(queue: SettleQueue[str]) -> None:
    queue.heard("known", 12)
    for key in ("a", "b", "known"):
        queue.recovered(key, 10)
    queue.heard("a", 20)
    assert (len(queue), list(queue.quiet(30)), list(queue.idle(69))) == (3, ["known", "a"], [])
    assert (list(queue.idle(70)), list(queue.idle(72))) == (["b"], ["known"])
    assert ("a" in queue, "b" in queue) == (True, False)
