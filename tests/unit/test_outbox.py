"""Sending: a dead letter that cannot be produced is never dropped, and one that is too large is kept in the table."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.dead_letter_rows import DeadLetterRow
from pipeline.store.insert import Refused
from pipeline.stream import outbox as outbox_module
from pipeline.stream.dead_letter_row import dead_letter_row, row_of
from pipeline.stream.deadletters import DeadLetter, wall_clock
from pipeline.stream.moves import Move
from pipeline.stream.outbox import Outbox

LIMIT = 1_000


class Broker:
    """A producer's other end: fails as it is told to, then takes what is small enough."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.taken: list[Record] = []

    async def send_and_wait(self, topic: str, value: bytes | None, key: bytes | None, headers: list[Any]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if len(value or b"") > LIMIT:
            raise MessageSizeTooLargeError
        self.taken.append(Record(topic, 0, len(self.taken), wall_clock(), key, value, tuple(headers)))


class Table:
    """The table of dead letters; away for as long as `answers` is not set."""

    def __init__(self) -> None:
        self.rows: list[NamedTuple] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        assert table == "dead_letters_rows"
        await self.answers.wait()
        self.rows += rows
        return []


def letters(*values: bytes) -> list[DeadLetter]:
    return [
        DeadLetter(Record("events", 0, at, Micros(7), b"p/t", value, (("h", b"1"),)), Reason.INVALID, "no", "decode")
        for at, value in enumerate(values)
    ]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_AFTER", 0.0)


def outbox(broker: Broker, table: Table) -> Outbox:
    made = Outbox(Settings(), table)
    made._producer = broker
    return made


async def test_letters_are_sent_again_until_each_is_acknowledged() -> None:
    broker = Broker(KafkaConnectionError(), TopicAuthorizationFailedError(), KafkaConnectionError())
    sent = letters(b"a", b"b")
    await outbox(broker, Table()).dead_letters(sent)
    assert sorted(record.value or b"" for record in broker.taken) == [b"a", b"b"]


async def test_while_a_letter_cannot_be_produced_nothing_goes_on() -> None:
    """`Flush` commits after this call (test_flush.py)."""
    broker = Broker(*[KafkaConnectionError() for _ in range(10_000)])
    sending = asyncio.create_task(outbox(broker, Table()).dead_letters(letters(b"a")))
    await asyncio.wait([sending], timeout=0.1)
    assert not sending.done()
    broker.failures.clear()
    await asyncio.wait_for(sending, 5)


async def test_a_failure_that_is_not_kafkas_is_a_bug() -> None:
    with pytest.raises(ZeroDivisionError):
        await outbox(Broker(ZeroDivisionError()), Table()).dead_letters(letters(b"a"))


async def test_a_letter_too_large_for_its_topic_is_in_the_table_and_pointed_at() -> None:
    broker, table = Broker(), Table()
    small, large, _ = sent = letters(b"a", b"x" * (LIMIT + 1), b"b")
    await outbox(broker, table).dead_letters(sent)
    assert table.rows == [row_of(large)]
    assert [record.value for record in broker.taken] == [b"a", b"b", None]
    pointer = broker.taken[-1]
    assert dict(pointer.headers)[headers.DEAD_OFFSET] == b"1"
    assert dead_letter_row(pointer) is None, "it does not replace the row that has the bytes"
    row = dead_letter_row(broker.taken[0])
    assert isinstance(row, DeadLetterRow)
    assert row == row_of(small)


async def test_a_letter_that_is_larger_than_a_segment_of_its_topic_is_in_the_table_too() -> None:
    broker, table = Broker(RecordListTooLargeError()), Table()
    sent = letters(b"a")
    async with asyncio.timeout(0.5):  # before it would be sent again
        await outbox(broker, table).dead_letters(sent)
    assert table.rows == [row_of(sent[0])]
    assert [record.value for record in broker.taken] == [None]


async def test_a_large_letter_waits_for_the_table() -> None:
    broker, table = Broker(), Table()
    table.answers.clear()
    sending = asyncio.create_task(outbox(broker, table).dead_letters(letters(b"x" * (LIMIT + 1))))
    await asyncio.wait([sending], timeout=0.05)
    assert not sending.done()
    assert not broker.taken
    table.answers.set()
    await asyncio.wait_for(sending, 5)


async def test_other_messages_that_are_too_large_are_not_given_up() -> None:
    broker = Broker()
    sending = asyncio.create_task(outbox(broker, Table()).send("t", ["x" * 2 * LIMIT], lambda text: _message(text)))
    await asyncio.wait([sending], timeout=0.05)
    assert not sending.done()
    sending.cancel()


def _message(text: str) -> outbox_module.Message:
    return outbox_module.Message(None, text.encode())


class Mover:
    """Takes no record of more than LIMIT bytes into the overflow, and none that is `huge` anywhere."""

    def __init__(self) -> None:
        self.sent: list[Move] = []

    async def send(self, moves: Iterable[Move]) -> list[Move]:
        refused = []
        for move in moves:
            value = move.record.value or b""
            is_refused = value == b"huge" or (move.topic == "overflow" and len(value) > LIMIT)
            (refused if is_refused else self.sent).append(move)
        return refused


async def test_what_cannot_be_put_aside_stays_and_what_cannot_stay_is_a_dead_letter() -> None:
    broker, mover = Broker(), Mover()
    made = outbox(broker, Table())
    made.mover = mover  # type: ignore[assignment]
    values = (b"a", b"x" * (LIMIT + 1), b"huge")
    records = [Record("events", 3, offset, Micros(7), b"p/t", value, ()) for offset, value in enumerate(values)]
    await made.move([Move("overflow", 1, record) for record in records])
    assert mover.sent == [Move("overflow", 1, records[0]), Move("events", 3, records[1])]
    [letter] = broker.taken
    assert (letter.value, dict(letter.headers)[headers.DEAD_STAGE]) == (b"huge", b"move")
    await made.move([Move("events", 2, records[2])])
    assert [record.value for record in broker.taken] == [b"huge", b"huge"], "nothing is tried twice where it failed"
