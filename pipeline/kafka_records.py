"""How our consumers read what Kafka's client cannot: a batch that it fails on stops neither process nor neighbours.

Problem: where aiokafka cannot parse a batch it raises, forgets what it had taken from other partitions in the same
poll, and raises again at the next: one batch would end every worker of the group in turn, for ever. Anybody who may
produce can send one, with a header whose *name* is not UTF-8 (brokers do not look; Kafka's own client puts U+FFFD).
Rule: 1 a batch that aiokafka fails on is read here, byte for byte as it is said in Kafka's message format, version 2.
Bytes of a header's name that are not UTF-8 are told as `\\xNN`: nothing is lost, and the record goes the way of all.
2 A batch that cannot be read here either (a checksum that is wrong, an unknown format or compression) is never skipped:
that is for a person to say. Its partition is held there, loudly, and asked again every `RETRY_AFTER` seconds, since a
fault on the wire mends itself; all other partitions go on. What came before it in the partition is delivered.
Who holds is said once, by a process that lives long (`hold_unreadable`); all others get an UnreadableBatchError.
Cost: nothing for a record, one look at a length for a batch.
How it fails: `held()` names the partitions that wait, for metrics and people; docs/operations.md says what to do.
"""

import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import structlog
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from pipeline.errors import SpanfoldError

log = structlog.get_logger(__name__)

RETRY_AFTER = 10.0  # seconds
_LENGTH = struct.Struct(">i")
_LENGTH_AT, _MAGIC_AT = 8, 16  # bytes: where a batch says its length and its format
_BEFORE = 12  # bytes that the length leaves out
_NEWEST = 2  # format of batches
_PartitionRecords, _FetchResult = fetcher.PartitionRecords, fetcher.FetchResult


class UnreadableBatchError(SpanfoldError, CorruptRecordException):  # type: ignore[misc]  # aiokafka has no types
    """A batch that nobody here can read."""


class Unreadable(NamedTuple):
    """Where a partition is held, why, and when that was seen last (time.monotonic())."""

    topic: str
    partition: int
    offset: int
    why: str
    at: float


class _Held:
    """The partitions of this process that are held; consumers' threads write, anybody reads."""

    def __init__(self) -> None:
        self.holds = False
        self._lock = threading.Lock()
        self._places: dict[tuple[str, int], Unreadable] = {}

    def note(self, place: Unreadable) -> None:
        with self._lock:
            self._places[place.topic, place.partition] = place

    def places(self) -> list[Unreadable]:
        """Those seen of late: one that is read again, or is another process's now, is not seen any more."""
        since = time.monotonic() - 3 * RETRY_AFTER
        with self._lock:
            self._places = {name: place for name, place in self._places.items() if place.at > since}
            return list(self._places.values())

    def forget(self, topic: str, partition: int) -> None:
        if self._places:
            with self._lock:
                self._places.pop((topic, partition), None)


_held = _Held()


def read_leniently() -> None:
    """Have every consumer of this process read by the rule above. To be called any number of times."""
    fetcher.MemoryRecords, fetcher.PartitionRecords, fetcher.FetchResult = _Batches, _Records, _Result


def hold_unreadable() -> None:
    """From now on a batch that cannot be read holds its partition, instead of raising UnreadableBatchError."""
    read_leniently()
    _held.holds = True


def held() -> list[Unreadable]:
    """The partitions that are held at a batch which cannot be read."""
    return _held.places()


class _Batches:
    """The batches of one fetch and partition, in aiokafka's own classes; the bytes of the last one are at hand."""

    __slots__ = ("_data", "_inner", "_next", "current")

    def __init__(self, data: bytes) -> None:
        self._data, self._next, self.current = data, 0, slice(0, 0)
        self._inner = MemoryRecords(data)

    def has_next(self) -> bool:
        """As MemoryRecords."""
        return bool(self._inner.has_next())

    def size_in_bytes(self) -> int:
        """As MemoryRecords."""
        return int(self._inner.size_in_bytes())

    def next_batch(self) -> Any:
        """As MemoryRecords; raises CorruptRecordException for a format that is newer than ours."""
        start = self._next
        self._next = start + _BEFORE + _LENGTH.unpack_from(self._data, start + _LENGTH_AT)[0]
        self.current = slice(start, self._next)
        batch = self._inner.next_batch()
        if (magic := self._data[start + _MAGIC_AT]) > _NEWEST:
            raise CorruptRecordException(f"format {magic} is not known")
        return batch

    def bytes(self) -> bytes:
        """Of the batch that was given last."""
        return bytes(self._data[self.current])


class _Records(_PartitionRecords):  # type: ignore[misc, valid-type]
    """The records of one fetch and partition. `unreadable` is set where they end at a batch that cannot be read."""

    unreadable: Unreadable | None = None
    next_fetch_offset: int
    _records_iterator: Iterator[Any] | None

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator or iter(()))
        except StopIteration:
            self._records_iterator = None
            raise
        except Exception as error:
            self._read_anew(error)
            return next(self)

    def _read_anew(self, error: Exception) -> None:
        """Go on with the batch that aiokafka failed on, as it is read here, or end before it."""
        try:
            records, next_offset = _read_anew(self._records.bytes())
        except Exception as second:  # whatever it is: it tells that the bytes are not what they should be
            self._end(second if isinstance(error, UnicodeDecodeError) else error)
        self._records_iterator = self._go_on(records, next_offset)

    def _go_on(self, records: list[Any], next_offset: int) -> Iterator[Any]:
        for record in records:
            if record.offset >= self.next_fetch_offset:
                self.next_fetch_offset = record.offset + 1
                yield self._consumer_record(self._tp, record)
        self.next_fetch_offset = next_offset
        yield from self._unpack_records()

    def _end(self, error: Exception) -> NoReturn:
        topic, partition = self._tp
        place = Unreadable(topic, partition, self.next_fetch_offset, str(error) or repr(error), time.monotonic())
        if not _held.holds:
            raise UnreadableBatchError(
                f"The batch at offset {place.offset} of {topic}, partition {partition}, cannot be read: {place.why}.",
                remedy="docs/operations.md says what to do (SpanfoldUnreadable).",
            ) from error
        _held.note(place)
        log.critical(
            "batch_unreadable", topic=topic, partition=partition, offset=place.offset, error=place.why,
            retry_in=RETRY_AFTER, remedy="The partition waits here. See docs/operations.md, SpanfoldUnreadable.",
        )  # fmt: skip
        self.unreadable, self._records_iterator = place, iter(())
        raise StopIteration


class _Result(_FetchResult):  # type: ignore[misc, valid-type]
    """What was fetched of a partition; one that begins with a batch that cannot be read stays until it is asked again.

    While it stays aiokafka fetches nothing for its partition, and everything for others.
    """

    _held_until = 0.0

    def getall(self, max_records: int | None = None) -> list[Any]:
        """As FetchResult; [] for one that is held."""
        if self._held_until:
            if self.check_assignment(self._topic_partition) and time.monotonic() >= self._held_until:
                self._partition_records = None  # fetched again
            return []
        records = self._partition_records
        got: list[Any] = super().getall(max_records)
        if records is None or self._partition_records is not None:
            return got
        if records.unreadable is None:
            _held.forget(*self._topic_partition)
        elif not got:
            self._partition_records, self._held_until = records, time.monotonic() + RETRY_AFTER
        return got


def _read_anew(data: bytes) -> tuple[list[Any], int]:
    """All records of a batch, and the offset after it. Raises where the bytes are not a batch's."""
    batch = _DefaultRecordBatchPy(data)
    if batch.magic != _NEWEST or not batch.validate_crc():
        raise CorruptRecordException("not a batch of format 2 with a right checksum")
    batch._maybe_uncompress()
    reader = _Reader(batch)
    records = [reader.record() for _ in range(batch._num_records)]
    if reader.at != len(reader.data):
        raise CorruptRecordException(f"{len(reader.data) - reader.at} bytes follow the last record")
    return records, batch.next_offset


class _Reader:
    """Kafka's record format, version 2: lengths and deltas as varints, then the bytes."""

    def __init__(self, batch: Any) -> None:
        self._batch, self.data, self.at = batch, batch._buffer, batch._pos

    def record(self) -> Any:
        """The next record."""
        batch = self._batch
        length = self._number()
        end = self.at + length
        self.at += 1  # attributes: none are defined
        delta, offset = self._number(), self._number()
        appended = batch.timestamp_type == batch.LOG_APPEND_TIME
        timestamp = batch.max_timestamp if appended else batch.first_timestamp + delta
        key, value = self._bytes(), self._bytes()
        named = [self._header() for _ in range(self._number())]
        if self.at != end:
            raise CorruptRecordException(f"a record of {length} bytes ends {self.at - end} bytes after its end")
        return _DefaultRecordPy(batch.base_offset + offset, timestamp, batch.timestamp_type, key, value, named)

    def _header(self) -> tuple[str, bytes | None]:
        name = self._bytes()
        if name is None:
            raise CorruptRecordException("a header without a name")
        return name.decode("utf-8", "backslashreplace"), self._bytes()

    def _bytes(self) -> bytes | None:
        length = self._number()
        if length < 0:
            return None
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise CorruptRecordException("a record ends before its bytes do")
        return bytes(self.data[start : self.at])

    def _number(self) -> int:
        number, self.at = decode_varint(self.data, self.at)
        return int(number)
