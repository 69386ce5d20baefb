"""Which offset may be committed: never one above a chunk that is not done (I2)."""

from pipeline.stream.offsets import PrefixTracker


def delivered(*lasts: int) -> PrefixTracker:
    tracker = PrefixTracker()
    for last in lasts:
        tracker.deliver(last)
    return tracker


def test_nothing_is_offered_before_something_is_done() -> None:
    assert PrefixTracker().committable is None
    assert delivered(9).committable is None


def test_the_offset_after_the_last_finished_chunk_is_offered() -> None:
    tracker = delivered(9, 19)
    tracker.finish(9)
    assert tracker.committable == 10
    tracker.finish(19)
    assert tracker.committable == 20


def test_a_chunk_that_is_done_early_waits_for_the_ones_before_it() -> None:
    tracker = delivered(9, 19, 29)
    tracker.finish(29)
    tracker.finish(19)
    assert tracker.committable is None
    tracker.finish(9)
    assert (tracker.committable, tracker.unfinished) == (30, 0)


def test_what_was_committed_is_not_offered_again() -> None:
    tracker = delivered(9, 19)
    tracker.finish(9)
    tracker.committed(10)
    assert tracker.committable is None
    tracker.finish(19)
    assert tracker.committable == 20


def test_a_commit_that_ends_late_does_not_hide_what_was_done_meanwhile() -> None:
    tracker = delivered(9, 19)
    tracker.finish(9)
    tracker.finish(19)
    tracker.committed(10)
    assert tracker.committable == 20


def test_a_chunk_of_an_older_assignment_is_ignored() -> None:
    tracker = delivered(19)
    tracker.finish(9)
    assert (tracker.committable, tracker.unfinished) == (None, 1)


def test_a_chunk_that_is_delivered_twice_is_waited_for_once() -> None:
    tracker = delivered(9, 9)
    tracker.finish(9)
    tracker.finish(9)
    assert (tracker.committable, tracker.unfinished) == (10, 0)


def test_a_chunk_that_came_again_and_was_cut_shorter_takes_nothing_back() -> None:
    tracker = PrefixTracker()
    tracker.deliver(9)
    tracker.deliver(4)
    tracker.finish(4)
    assert tracker.committable is None
    tracker.finish(9)
    assert tracker.committable == 10
    tracker.committed(10)
    tracker.deliver(6)
    tracker.finish(6)
    assert tracker.committable is None
    tracker.deliver(12)
    tracker.finish(12)
    assert tracker.committable == 13
