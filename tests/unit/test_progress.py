"""How far a consumer is behind: records, and seconds since the broker got what waits longest."""

from pipeline.events.model import Micros
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.progress import SECOND, Lag, Progress

TP, OTHER = TopicPartition("events", 0), TopicPartition("events", 1)
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> Micros:
    return Micros(int(T0 + seconds * SECOND))


def test_of_a_partition_that_nothing_is_known_of_there_is_no_lag() -> None:
    assert Progress().lag(TP, 100, at(0)) is None


def test_a_chunk_counts_from_its_append_until_it_is_committed() -> None:
    progress = Progress()
    progress.delivered(TP, 10, 19, at(0))
    progress.delivered(TP, 20, 29, at(3))
    assert progress.lag(TP, 30, at(5)) == Lag(20, 5.0)
    progress.committed(TP, 20)
    assert progress.lag(TP, 30, at(5)) == Lag(10, 2.0)
    progress.committed(TP, 30)
    assert progress.lag(TP, 30, at(5)) == Lag(0, 0.0)


def test_records_that_were_not_delivered_count_too_and_as_old_as_what_waits_before_them() -> None:
    progress = Progress()
    progress.delivered(TP, 0, 9, at(0))
    assert progress.lag(TP, 1_000, at(60)) == Lag(1_000, 60.0)


def test_what_the_broker_has_and_nobody_was_given_ages_from_when_it_was_missed() -> None:
    progress = Progress()
    progress.began(TP, 5)
    assert progress.lag(TP, 5, at(0)) == Lag(0, 0.0)
    assert progress.lag(TP, 8, at(100)) == Lag(3, 0.0)
    assert progress.lag(TP, 9, at(107)) == Lag(4, 7.0)
    progress.delivered(TP, 5, 8, at(99))
    assert progress.lag(TP, 9, at(107)) == Lag(4, 8.0)
    progress.committed(TP, 9)
    assert progress.lag(TP, 9, at(108)) == Lag(0, 0.0)
    assert progress.lag(TP, 10, at(200)) == Lag(1, 0.0)


def test_an_end_that_is_older_than_what_was_delivered_makes_no_negative_lag() -> None:
    progress = Progress()
    progress.delivered(TP, 0, 9, at(10))
    assert progress.lag(TP, 4, at(9)) == Lag(10, 0.0)  # and the broker's clock is ahead
    progress.committed(TP, 10)
    assert progress.lag(TP, 4, at(9)) == Lag(0, 0.0)


def test_where_the_group_began_is_of_no_interest_once_anything_is_delivered() -> None:
    progress = Progress()
    progress.delivered(TP, 7, 9, at(0))
    progress.began(TP, 0)
    assert progress.lag(TP, 10, at(1)) == Lag(3, 1.0)


def test_what_is_revoked_is_forgotten_and_partitions_are_apart() -> None:
    progress = Progress()
    for tp in (TP, OTHER):
        progress.delivered(tp, 0, 9, at(0))
    progress.revoked(TP)
    progress.revoked(TP)
    assert progress.lag(TP, 10, at(1)) is None
    assert progress.lag(OTHER, 10, at(1)) == Lag(10, 1.0)
