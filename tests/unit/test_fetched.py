"""What our consumer hands out are Records with all that was in the batch; other consumers are as before."""

import struct
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord, TopicPartition

from pipeline.events.model import Micros, Record
from pipeline.kafka_records import read_leniently
from pipeline.stream.fetched import hand_out_records

TP = TopicPartition("events", 3)
CHECKSUM_AT = 17  # in a batch of format 2
SENT = [
    (1_767_225_600_000, b"p/t", b"value", [("name", b"x"), ("name", b"y")]),
    (1_767_225_600_001, None, b"", [("none", None)]),
    (1_767_225_600_002, b"", None, []),
]


def batch(first: int) -> bytes:
    """A batch whose first record lies at that offset."""
    builder = DefaultRecordBatchBuilder(2, 3, 0, -1, -1, 0, 4_096)
    for number, (timestamp, key, value, named) in enumerate(SENT):
        assert builder.append(number, timestamp, key, value, named)
    return batch_of(builder.build(), first)


def batch_of(built: bytes, first: int) -> bytes:
    """The batch at another offset, its checksum right for what it holds."""
    data = bytearray(built)
    struct.pack_into(">q", data, 0, first)
    struct.pack_into(">I", data, CHECKSUM_AT, calc_crc32c(bytes(data[CHECKSUM_AT + 4 :])))
    return bytes(data)


class Assignment:
    """An own partition, read up to offset 8."""

    active = True

    def __init__(self) -> None:
        self.paused, self.position = False, 8

    def state_value(self, _: object) -> "Assignment":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def result(data: bytes, assignment: Any) -> FetchResult:
    """As the client's fetcher makes it, which reads leniently once it was told to."""
    raw = fetcher_module.MemoryRecords(data)
    records = fetcher_module.PartitionRecords(TP, raw, [], 8, None, None, True, 0)
    return FetchResult(TP, assignment=assignment, partition_records=records, backoff=0.0)


def fetched(data: bytes, *, ours: bool, before: bool = False, most: int | None = None) -> list[list[Any]]:
    """What each poll hands out; `before`: it was fetched before we came."""
    fetcher = SimpleNamespace(_records=OrderedDict[Any, Any]())
    got = result(data, Assignment())
    if before:
        fetcher._records[TP] = got
    if ours:
        hand_out_records(SimpleNamespace(_fetcher=fetcher))
    if not before:
        fetcher._records[TP] = got
    assert fetcher._records == {TP: got}
    polls = []
    while got.has_more():
        polls.append(got.getall(most))
    return polls


@pytest.mark.parametrize("before", [False, True])
def test_records_come_whole_and_from_where_the_partition_was_read_up_to(before: bool) -> None:
    [records] = fetched(batch(7) + batch(10), ours=True, before=before)
    expected = [
        Record("events", 3, 7 + number, timestamp * 1_000, key, value, tuple(named))  # type: ignore[arg-type]
        for number, (timestamp, key, value, named) in enumerate(SENT * 2)
    ]
    assert records == expected[1:]
    assert all(type(record) is Record for record in records)


def test_a_poll_takes_no_more_than_it_is_allowed() -> None:
    polls = fetched(batch(7) + batch(10), ours=True, most=2)
    assert [[record.offset for record in poll] for poll in polls] == [[8, 9], [10, 11], [12]]


def test_another_consumer_hands_out_what_it_always_did() -> None:
    [records] = fetched(batch(8), ours=False)
    assert all(type(record) is ConsumerRecord for record in records)


def test_a_batch_that_is_read_leniently_comes_as_records_too() -> None:
    read_leniently()
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 4_096)
    assert builder.append(0, SENT[0][0], b"p/t", b"value", [("n?me", b"x")])
    spoilt = batch_of(bytes(builder.build()).replace(b"n?me", b"n\xffme"), 8)
    [records] = fetched(spoilt, ours=True)
    assert records == [Record("events", 3, 8, Micros(SENT[0][0] * 1_000), b"p/t", b"value", (("n\\xffme", b"x"),))]


@pytest.mark.parametrize("codec", [0, 1, 2], ids=["plain", "gzip", "snappy"])
@pytest.mark.parametrize("magic", [0, 1])
def test_batches_of_kafka_s_oldest_formats_come_too_those_without_a_time_as_such(magic: int, codec: int) -> None:
    read_leniently()
    builder = LegacyRecordBatchBuilder(magic, codec, 4_096)
    for number in range(2):
        offset = number if magic and codec else 8 + number  # counted within the set, or absolute
        assert builder.append(offset, SENT[number][0] if magic else None, b"p/t", b"value")
    data = bytes(builder.build())
    if codec:
        data = struct.pack(">q", 9) + data[8:]  # a set lies at the offset of its last record
    [records] = fetched(data, ours=True)
    times = [Micros(-1_000)] * 2 if magic == 0 else [Micros(SENT[at][0] * 1_000) for at in range(2)]
    assert records == [Record("events", 3, 8 + at, times[at], b"p/t", b"value", ()) for at in range(2)]


def test_an_error_stays_an_error() -> None:
    fetcher = SimpleNamespace(_records=OrderedDict[Any, Any]())
    hand_out_records(SimpleNamespace(_fetcher=fetcher))
    fetcher._records[TP] = error = FetchError(error=KafkaError("no"), backoff=0.0)
    assert fetcher._records[TP] is error
