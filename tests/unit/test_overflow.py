"""The valve's own bookkeeping on a consumer that only remembers: what it commits, and when it commits it again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition as KafkaPartition

from pipeline.config import Settings
from pipeline.stream.load import Load
from pipeline.stream.moves import Move
from pipeline.stream.overflow import COMMIT_AGAIN, Overflow

SETTINGS = Settings(topic_prefix="t")
PLACE, IDLE, NEW = (KafkaPartition("t.events.overflow", number) for number in range(3))


class Raw(NamedTuple):
    """A record as aiokafka gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes = b"p/t"
    value: bytes = b"{}"
    headers: tuple[Any, ...] = ()


class Consumer:
    """Partitions of which something is committed, or not, and records to read once."""

    def __init__(self) -> None:
        self.offsets: dict[KafkaPartition, int | None] = {PLACE: 4, IDLE: 70, NEW: None}
        self.commits: list[dict[KafkaPartition, int]] = []
        self.waiting: dict[KafkaPartition, list[Raw]] = {}
        self.assigned: set[KafkaPartition] = set()

    def assignment(self) -> set[KafkaPartition]:
        return self.assigned

    def assign(self, places: set[KafkaPartition]) -> None:
        self.assigned = places

    async def committed(self, place: KafkaPartition) -> int | None:
        return self.offsets[place]

    async def commit(self, offsets: dict[KafkaPartition, int]) -> None:
        self.commits.append(offsets)
        self.offsets |= offsets

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[KafkaPartition, list[Raw]]:
        found, self.waiting = self.waiting, {}
        return found


class Mover:
    """Sends all but what is too large for it."""

    def __init__(self) -> None:
        self.sent: list[Move] = []

    async def partitions(self, topic: str) -> int:
        return 3

    async def send(self, moves: Sequence[Move]) -> list[Move]:
        self.sent += [move for move in moves if len(move.record.value or b"") < 10]
        return [move for move in moves if len(move.record.value or b"") >= 10]


class Valve:
    """A valve with its surroundings, turned by hand."""

    def __init__(self) -> None:
        self.consumer, self.mover, self.refused = Consumer(), Mover(), list[Move]()
        load = Load(frozenset({0, 1, 2}), 3, 100)

        async def refuse(moves: Sequence[Move]) -> None:
            self.refused += moves

        self.valve = Overflow(SETTINGS, self.mover, lambda: load, refuse)  # type: ignore[arg-type]

    async def turn(self) -> None:
        await self.valve._turn(self.consumer)

    def later(self, seconds: float) -> None:
        """All that was committed is older by so much."""
        self.valve._committed_at = {place: at - seconds for place, at in self.valve._committed_at.items()}


async def test_offsets_are_committed_again_when_they_are_taken_over_and_then_every_hour() -> None:
    made = Valve()
    await made.turn()
    assert made.consumer.commits == [{PLACE: 4, IDLE: 70}], "of the third nothing is committed: no offset can expire"
    await made.turn()
    assert len(made.consumer.commits) == 1
    made.later(COMMIT_AGAIN + 1)
    made.consumer.waiting = {PLACE: [Raw(*PLACE, 4, 1)]}
    await made.turn()
    assert made.consumer.commits[1:] == [{PLACE: 4, IDLE: 70}, {PLACE: 5}]
    await made.turn()
    assert len(made.consumer.commits) == 3


async def test_what_was_committed_lately_because_it_moved_is_not_committed_again() -> None:
    made = Valve()
    await made.turn()
    made.later(COMMIT_AGAIN / 2)
    made.consumer.waiting = {PLACE: [Raw(*PLACE, 4, 1)]}
    await made.turn()
    made.later(COMMIT_AGAIN / 2 + 1)
    await made.turn()
    assert made.consumer.commits[1:] == [{PLACE: 5}, {IDLE: 70}]


async def test_a_record_that_the_events_topic_refuses_is_a_dead_letter_and_the_valve_goes_on() -> None:
    made = Valve()
    large = Raw(*PLACE, 5, 1, value=bytes(10))
    made.consumer.waiting = {PLACE: [Raw(*PLACE, 4, 1), large, Raw(*PLACE, 6, 1)]}
    await made.turn()
    assert [move.record.offset for move in made.mover.sent] == [4, 6]
    assert [(move.topic, move.record.offset) for move in made.refused] == [("t.events", 5)]
    assert made.consumer.offsets[PLACE] == 7
