"""A trace is folded in one partition: where its key is at home in a topic of so many partitions as it has now."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.decode import header
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.partition import partition_of
from pipeline.events.reasons import Reason
from pipeline.metrics import Metric, Metrics, Role
from pipeline.stream.chunk import ChunkCount
from pipeline.stream.moves import (
    MOST_BYTES,
    MOST_MOVES,
    Decoded,
    Move,
    Mover,
    _fill,
    at_home,
    moved,
    refused_moves,
    weight,
)
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition

LIMITS = Limits(2, 60, 1000, 100, 10_000, 100, 10_000)


def partition(number: int = 0, count: int = 2) -> Partition:
    made = Partition(TopicPartition("events", number), LIMITS)
    made.count = count
    return made


def decoded(trace: str, times_moved: int = 0, where: int = 0) -> Decoded:
    named = ((headers.MOVED, str(times_moved).encode()),) if times_moved else ()
    record = Record("events", where, 7, Micros(1), f"p/{trace}".encode(), b"{}", named)
    return record, [Event("p", trace, Kind.TRACE, trace, "e", Micros(1), {})]


@given(st.integers(1, 12), st.sets(st.text("abc/:é", min_size=1, max_size=20), max_size=20))
def test_every_trace_has_one_home_among_all_partitions(count: int, traces: set[str]) -> None:
    every = [decoded(trace) for trace in traces]
    folded: list[str] = []
    for number in range(count):
        stay, moves = at_home(partition(number, count), every)
        folded += [events[0].trace_id for _, events in stay]
        assert len(stay) + len(moves) == len(every)
        assert all(move.partition == partition_of(move.record.key or b"", count) != number for move in moves)
    assert sorted(folded) == sorted(traces)


def test_a_record_that_tells_no_time_is_sent_home_once_more_and_so_gets_one() -> None:
    record, events = decoded("a")
    home = partition_of(record.key or b"", 2)
    untimed = (record._replace(timestamp=Micros(-1_000), partition=home), events)
    for known in (False, True):
        here = partition(home)
        if known:
            here.create(b"p/a", "p", "a", Micros(1))
        assert at_home(here, [untimed]) == ([], [Move("events", home, untimed[0])])
    silent = (untimed[0], [])
    assert at_home(partition(home), [silent]) == ([silent], [])


def test_while_the_number_of_partitions_is_not_known_all_stay() -> None:
    every = [decoded(f"t{number}") for number in range(20)]
    assert at_home(partition(count=0), every) == (every, [])


def test_what_is_in_memory_stays_and_so_does_what_says_nothing() -> None:
    here, known = partition(), next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == 1)
    key = f"p/{known}".encode()
    assert at_home(here, [decoded(known)])[1] == [Move("events", 1, decoded(known)[0])]
    assert at_home(here, [(decoded(known)[0], [])]) == ([(decoded(known)[0], [])], [])
    here.create(key, "p", known, Micros(1))
    assert at_home(here, [decoded(known)]) == ([decoded(known)], [])


def test_a_record_is_not_tossed_about_for_ever() -> None:
    away = next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == 1)
    for times, moves in ((1, 1), (MOST_MOVES - 1, 1), (MOST_MOVES, 0), (MOST_MOVES + 50, 0)):
        assert len(at_home(partition(), [decoded(away, times)])[1]) == moves


def test_a_record_that_may_not_fit_where_it_belongs_stays() -> None:
    away = next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == 1)
    record, events = decoded(away)
    for size, moves in ((MOST_BYTES - 100, 1), (MOST_BYTES, 0)):
        assert len(at_home(partition(), [(record._replace(value=bytes(size)), events)])[1]) == moves
        named = (("x", bytes(size)), ("none", None))
        assert len(at_home(partition(), [(record._replace(headers=named), events)])[1]) == moves  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"", b"-1", b"x", b"\xff", b"99999999999999999999", "²".encode()])
def test_a_header_that_is_no_count_counts_as_no_move(value: bytes) -> None:
    record = decoded("t")[0]._replace(headers=((headers.MOVED, value),))
    assert moved(record) == 0


class Box:
    """A batch with room for so many records."""

    def __init__(self, room: int) -> None:
        self.room, self.records = room, list[Record]()

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> object:
        if len(self.records) == self.room:
            return None
        self.records.append(Record("", 0, 0, Micros(0), key, value, tuple(headers)))
        return self


def test_a_moved_record_keeps_key_value_and_headers_and_counts_its_moves() -> None:
    record = decoded("t", 3)[0]
    record = record._replace(headers=((headers.PROJECT, b"p"), *record.headers))
    box = Box(1)
    assert _fill(box, [Move("events", 1, record)] * 2, 0) == 1
    [sent] = box.records
    assert (sent.key, sent.value, header(sent, headers.PROJECT)) == (record.key, record.value, b"p")
    assert [value for name, value in sent.headers if name == headers.MOVED] == [b"4"]


def test_a_record_that_the_topic_is_known_not_to_take_stays() -> None:
    away = next(f"t{n}" for n in range(99) if partition_of(f"p/t{n}".encode(), 2) == 1)
    record = decoded(away)[0]._replace(value=bytes(900))
    events = decoded(away)[1]
    assert len(at_home(partition(), [(record, events)], weight(record))[1]) == 1
    assert at_home(partition(), [(record, events)], weight(record) - 1) == ([(record, events)], [])


class Topic:
    """A producer of a topic that takes batches of so many bytes, and fails as it is told to before."""

    def __init__(self, limit: int, *failures: Exception) -> None:
        self.limit, self.failures = limit, list(failures)
        self.batches: list[list[bytes]] = []

    def create_batch(self) -> Box:
        return Box(100)

    async def send_batch(self, batch: Box, topic: str, partition: int) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        values = [record.value or b"" for record in batch.records]
        if self.failures:
            done.set_exception(self.failures.pop(0))
        elif sum(map(len, values)) > self.limit:
            done.set_exception(MessageSizeTooLargeError())
        else:
            self.batches.append(values)
            done.set_result(None)
        return done


def mover(topic: Topic, metrics: Metrics) -> Mover:
    made = Mover(Settings(topic_prefix="t"), metrics)
    made._producer = topic
    return made


def sized(offset: int, size: int, topic: str = "t.events") -> Record:
    return Record(topic, 0, offset, Micros(1), b"p/t", bytes([offset]) * size, ())


async def test_a_record_that_is_refused_for_its_size_is_told_apart_from_its_neighbours_which_all_arrive() -> None:
    metrics = Metrics(Role.WORKER)
    topic = Topic(100)
    records = [sized(number, 10 if number % 10 != 3 else 101) for number in range(40)]
    refused = await mover(topic, metrics).send(Move("t.events", 1, record) for record in records)
    assert [move.record.offset for move in refused] == [3, 13, 23, 33]
    assert sorted(value[0] for values in topic.batches for value in values) == [n for n in range(40) if n % 10 != 3]
    assert [values for values in topic.batches if sum(map(len, values)) > 100] == []
    assert metrics.value(Metric.MOVED, "home") == 36
    assert metrics.value(Metric.MOVES_OPEN) == 0


async def test_what_fails_for_another_reason_is_sent_again_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stream.moves.RETRY_AFTER", 0)
    metrics = Metrics(Role.WORKER)
    topic = Topic(100, KafkaConnectionError("away"), KafkaConnectionError("away"))
    moves = [
        Move("t.events.overflow", 0, sized(1, 5)),
        Move("t.events", 0, sized(2, 5, "t.events.overflow")),
        Move("t.events", 0, sized(3, 5)),
    ]
    assert await mover(topic, metrics).send(moves) == []
    assert {what: metrics.value(Metric.MOVED, what) for what in ("home", "aside", "back")} == {
        "home": 1, "aside": 1, "back": 1,
    }  # fmt: skip
    assert metrics.value(Metric.SEND_RETRIES) >= 2
    assert metrics.value(Metric.MOVE_SECONDS) > 0


def test_what_no_topic_takes_is_rejected_where_it_lay_and_keeps_its_bytes() -> None:
    count = ChunkCount()
    records = [sized(1, 5), sized(2, 50)]
    for record in records:
        count.outcomes.note_moved(record)
    [letter] = refused_moves([Move("t.events", 1, records[1], count)])
    assert (letter.record, letter.reason, letter.stage) == (records[1], Reason.TOO_LARGE, "move")
    assert "t.events refuses its 53 bytes" in letter.detail
    assert count.rejected == 1
    assert {group[3]: list(offsets) for group, offsets in count.outcomes.items()} == {"moved": [1], "rejected": [2]}
