"""Requests are refused where many wait for long, and only there."""

from contextlib import ExitStack

import pytest

from pipeline.ingest.answers import ApiError
from pipeline.ingest.waiting import CROWD, Waiting


class Clock:
    """Seconds, moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def crowd(waiting: Waiting, size: int) -> ExitStack:
    """So many requests that wait until it is closed."""
    stack = ExitStack()
    for _ in range(size):
        stack.enter_context(waiting.answering())
    return stack


def refused(waiting: Waiting) -> bool:
    """Whether a new request is, both before and after it was read; with 503 and a time to come again."""
    told = []
    for way in (waiting.check, waiting.answering().__enter__):
        try:
            way()
        except ApiError as error:
            assert (error.status, (error.headers or {}).get("Retry-After")) == (503, "5")
            told.append(error)
    assert len(told) in (0, 2)
    return bool(told)


def test_a_crowd_that_waits_for_long_keeps_new_ones_out_until_it_is_answered(clock: Clock) -> None:
    waiting = Waiting(1.0, clock)
    with crowd(waiting, CROWD):
        clock.now = 1.0
        assert not refused(waiting)
        clock.now = 1.1
        assert refused(waiting)
    assert not refused(waiting)


def test_few_that_wait_for_long_and_many_that_do_not_keep_nobody_out(clock: Clock) -> None:
    waiting = Waiting(1.0, clock)
    with crowd(waiting, CROWD - 1):
        clock.now = 60.0
        assert not refused(waiting)
        with crowd(waiting, 10 * CROWD):
            assert not refused(waiting)


def test_the_oldest_are_looked_at_and_not_the_last(clock: Clock) -> None:
    waiting = Waiting(1.0, clock)
    with crowd(waiting, CROWD):
        clock.now = 0.9
        with crowd(waiting, 10 * CROWD):
            clock.now = 1.5
            assert refused(waiting)


def test_a_request_that_fails_waits_no_more(clock: Clock) -> None:
    waiting = Waiting(1.0, clock)
    for _ in range(2 * CROWD):
        with pytest.raises(RuntimeError), waiting.answering():
            raise RuntimeError
    clock.now = 10.0
    assert not refused(waiting)


def test_zero_is_no_limit(clock: Clock) -> None:
    waiting = Waiting(0.0, clock)
    with crowd(waiting, 2 * CROWD):
        clock.now = 1_000.0
        assert not refused(waiting)
