"""Batches that Kafka's client cannot parse: read byte for byte where that can be, a reason to wait where it cannot."""

import struct
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from structlog.testing import capture_logs

from pipeline import kafka_records
from pipeline.config import Settings
from pipeline.kafka_client import kafka_options
from pipeline.kafka_records import UnreadableBatchError, held, hold_unreadable
from tests.fixtures.odd_records import Header, Sent, batch

TP = TopicPartition("events", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ODD = (b"caf\xe9", b"1")
FINE: Header = (b"content-type", b"x")


@pytest.fixture(autouse=True, params=["compiled", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers read by our rule, with either of aiokafka's parsers; the process holds nothing before the test."""
    kafka_options(Settings())
    if request.param == "python":
        monkeypatch.setattr(kafka_records, "MemoryRecords", _MemoryRecordsPy)
        monkeypatch.setattr(memory_records, "DefaultRecordBatch", kafka_records._DefaultRecordBatchPy)
    monkeypatch.setattr(kafka_records, "_held", kafka_records._Held())


class Fetched:
    """What a fetch gave of one partition, as aiokafka's fetcher keeps it until it is asked for."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.position = position
        state = SimpleNamespace(paused=False, position=position, consumed_to=self._consumed)
        self._state = state
        assignment = SimpleNamespace(active=True, state_value=lambda _: state)
        records = fetcher.PartitionRecords(
            TP, fetcher.MemoryRecords(data), [], position, None, None, True, fetcher.READ_UNCOMMITTED
        )
        self.result = fetcher.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)

    def _consumed(self, position: int) -> None:
        self.position = self._state.position = position

    def all(self, most: int | None = None) -> list[Any]:
        got: list[Any] = self.result.getall(most)
        return got


def values(records: Sequence[Any]) -> list[bytes]:
    return [record.value for record in records]


def three(first: int, *, codec: int = 0, odd: bool = True, timestamps: int = 0) -> bytes:
    """A batch of three records, the second of which has a header with a name that is not UTF-8."""
    sent = [Sent(b"p/t", b"a%d" % first, (FINE,)), Sent(None, None, (FINE, ODD, FINE) if odd else ()), Sent(b"k", b"c")]
    return batch(sent, first, codec=codec, log_append_time=timestamps)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_header_s_name_that_is_not_utf_8_is_told_by_its_bytes(codec: int) -> None:
    fetched = Fetched(three(10, codec=codec), 10)
    records = fetched.all()
    assert [(r.topic, r.partition, r.offset, r.key, r.value) for r in records] == [
        ("events", 3, 10, b"p/t", b"a10"), ("events", 3, 11, None, None), ("events", 3, 12, b"k", b"c"),
    ]  # fmt: skip
    assert records[1].headers == (("content-type", b"x"), ("caf\\xe9", b"1"), ("content-type", b"x"))
    assert fetched.position == 13
    assert not fetched.result.has_more()


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("timestamps", [0, 1_700_000_000_123])
def test_what_is_read_here_equals_what_kafka_s_client_reads(codec: int, timestamps: int) -> None:
    ours, _ = kafka_records._read_anew(three(10, codec=codec, odd=False, timestamps=timestamps))
    theirs = list(fetcher.MemoryRecords(three(10, codec=codec, odd=False, timestamps=timestamps)).next_batch())
    for one, other in zip(ours, theirs, strict=True):
        for name in ("offset", "timestamp", "timestamp_type", "key", "value", "headers"):
            assert getattr(one, name) == getattr(other, name), name


def test_batches_before_between_and_after_are_all_delivered_once_and_in_order() -> None:
    data = b"".join(three(first, odd=first != 6) for first in range(0, 15, 3))
    fetched = Fetched(data)
    assert [record.offset for record in fetched.all()] == list(range(15))
    fetched = Fetched(data[len(three(0)) :], 4)
    offsets: list[int] = []
    while fetched.result.has_more():
        offsets += [record.offset for record in fetched.all(4)]
    assert offsets == list(range(4, 15))


def test_a_fetch_that_begins_behind_an_odd_record_goes_on_after_it() -> None:
    assert values(Fetched(three(0) + three(3, odd=False), 2).all()) == [b"c", b"a3", None, b"c"]
    assert values(Fetched(three(0) + three(3), 3).all()) == [b"a3", None, b"c"]


@pytest.mark.parametrize("name", [b"", b"\xff" * 3000, b"\xc3", b"a\x00\xed\xa0\x80", b"spanfold-dead-\xff"])
def test_whatever_a_name_is_it_can_be_sent_again(name: bytes) -> None:
    (record,) = Fetched(batch([Sent(b"k", b"v", ((b"\xff", None), (name, b"1")))], 0)).all()
    assert [name.encode() for name, _ in record.headers], "a dead letter carries them"
    assert record.headers[1][0] == name.decode("utf-8", "backslashreplace")


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _magic(data: bytes) -> bytes:
    return data[:16] + b"\x03" + data[17:]


def _codec(data: bytes) -> bytes:
    return _sealed(data[:21] + struct.pack(">h", 6) + data[23:])


def _garbled(data: bytes) -> bytes:
    return _sealed(data[:61] + b"\xff" * (len(data) - 61))


def _sealed(data: bytes) -> bytes:
    """With a checksum that is right again."""
    return data[:17] + struct.pack(">I", calc_crc32c(data[21:])) + data[21:]


SPOILT = [_flip, _magic, _codec, _garbled]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_batch_that_cannot_be_read_is_an_error_that_says_where_and_what_to_do(
    spoil: Callable[[bytes], bytes],
) -> None:
    with pytest.raises(UnreadableBatchError, match=r"offset 3 of events, partition 3, cannot be read.*operations\.md"):
        Fetched(three(0) + spoil(three(3))).all()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(kafka_records, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    yield now


@pytest.mark.parametrize("spoil", SPOILT)
def test_in_a_process_that_lives_long_it_holds_its_partition_and_what_came_before_it_is_delivered(
    spoil: Callable[[bytes], bytes], clock: SimpleNamespace
) -> None:
    hold_unreadable()
    with capture_logs() as logs:
        fetched = Fetched(three(0) + spoil(three(3)) + three(6))
        assert values(fetched.all()) == [b"a0", None, b"c"]
        assert not fetched.result.has_more(), "the next fetch begins with it"
        fetched = Fetched(spoil(three(3)) + three(6), fetched.position)
        for _ in range(3):
            assert fetched.all() == []
        assert fetched.position == 3, "it is never skipped"
        assert fetched.result.has_more(), "nothing is fetched of this partition meanwhile"
    (place,) = held()
    assert (place.topic, place.partition, place.offset) == ("events", 3, 3)
    assert [line["event"] for line in logs] == ["batch_unreadable"] * 2
    assert logs[-1]["offset"] == 3
    clock.seconds += kafka_records.RETRY_AFTER
    assert fetched.all() == []
    assert not fetched.result.has_more(), "it is fetched again: a fault on the wire mends itself"
    assert values(Fetched(three(3) + three(6), 3).all()) == [b"a3", None, b"c", b"a6", None, b"c"]
    assert held() == []


def test_a_partition_that_went_to_another_process_is_not_told_of_for_ever(clock: SimpleNamespace) -> None:
    hold_unreadable()
    Fetched(_flip(three(0))).all()
    assert held()
    clock.seconds += 3 * kafka_records.RETRY_AFTER
    assert not held()
