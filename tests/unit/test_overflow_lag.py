"""How much waits in the overflow: records by offsets, seconds by what is known of records that nobody has read."""

from typing import Any

from aiokafka.structs import TopicPartition as KafkaPartition

from pipeline.events.model import Micros
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.overflow_lag import OverflowLag
from pipeline.stream.progress import Lag

PLACE, OTHER = TopicPartition("over", 0), TopicPartition("over", 1)
SECOND = 1_000_000


def at(seconds: float) -> Micros:
    return Micros(int(seconds * SECOND))


def test_what_a_new_owner_finds_counts_from_when_it_was_first_seen() -> None:
    lag = OverflowLag()
    assert lag.lags(at(100)) == {}
    lag.seen(PLACE, 10, 40, at(100))
    lag.seen(PLACE, 10, 50, at(130))
    assert lag.lags(at(130)) == {PLACE: Lag(40, 30.0)}


def test_once_something_was_moved_the_rest_came_later_than_that() -> None:
    lag = OverflowLag()
    lag.seen(PLACE, 10, 40, at(5_000))
    lag.moved(PLACE, 20, at(1_000))
    assert lag.lags(at(5_001)) == {PLACE: Lag(20, 4_001.0)}
    lag.moved(PLACE, 30, at(2_000))
    assert lag.lags(at(5_001)) == {PLACE: Lag(10, 3_001.0)}


def test_what_comes_after_a_pause_is_as_old_as_the_last_look_that_found_nothing() -> None:
    lag = OverflowLag()
    lag.seen(PLACE, 0, 5, at(10))
    lag.moved(PLACE, 5, at(8))
    assert lag.lags(at(20)) == {PLACE: Lag(0, 0.0)}
    lag.seen(PLACE, 5, 5, at(3_600))
    lag.seen(PLACE, 5, 7, at(3_605))
    assert lag.lags(at(3_606)) == {PLACE: Lag(2, 6.0)}


def test_what_was_moved_beyond_the_last_look_is_no_lag_below_zero() -> None:
    lag = OverflowLag()
    lag.seen(PLACE, 0, 5, at(1))
    lag.moved(PLACE, 9, at(2))
    assert lag.lags(at(3)) == {PLACE: Lag(0, 0.0)}


class Consumer:
    """A broker's answers: per partition the first offset, what is committed, and the end."""

    def __init__(self, **places: tuple[int, int | None, int]) -> None:
        self.places = {KafkaPartition("over", int(name[1:])): told for name, told in places.items()}

    def assignment(self) -> set[KafkaPartition]:
        return set(self.places)

    async def beginning_offsets(self, places: list[KafkaPartition]) -> dict[KafkaPartition, int]:
        return {place: self.places[place][0] for place in places}

    async def end_offsets(self, places: list[KafkaPartition]) -> dict[KafkaPartition, int]:
        return {place: self.places[place][2] for place in places}

    async def committed(self, place: Any) -> int | None:
        return self.places[place][1]


async def test_a_look_asks_for_all_that_is_assigned_and_forgets_the_rest() -> None:
    lag = OverflowLag()
    await lag.look_up(Consumer(p0=(3, None, 10), p1=(5, 2, 9)), at(1))
    assert lag.lags(at(1)) == {PLACE: Lag(7, 0.0), OTHER: Lag(4, 0.0)}, "never committed; and taken by retention"
    await lag.look_up(Consumer(p1=(5, 8, 9)), at(2))
    assert lag.lags(at(2)) == {OTHER: Lag(1, 1.0)}
    await lag.look_up(Consumer(), at(3))
    assert lag.lags(at(3)) == {}
