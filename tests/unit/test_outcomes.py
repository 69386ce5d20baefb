"""The ledger's entry of a chunk: one outcome for each offset, by project, route and minute."""

import pytest

from pipeline.events import headers
from pipeline.events.model import Micros, Record
from pipeline.store.retention import expiry
from pipeline.stream import outcomes
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.outcomes import MINUTE, OTHERS, Outcome
from pipeline.stream.range_row import range_row

TP = TopicPartition("events", 3)


def record(offset: int, minute: int = 0, key: bytes | None = b"p/t", **named: bytes) -> Record:
    given = tuple((name.replace("_", "-"), value) for name, value in named.items())
    return Record("events", 3, offset, Micros(minute * MINUTE + 7), key, b"{}", given)


def span(first: int, last: int, records: int) -> Span:
    return Span(TP, first, last, records, lambda: None)


def test_records_of_one_kind_need_no_places() -> None:
    count = ChunkCount(new=3)
    for offset in (4, 5, 6):
        count.outcomes.note(record(offset), "p", Outcome.STORED)
    row = range_row(span(4, 6, 3), count, 9, 30)
    assert row.expires_at == expiry(9, 31)  # a day more than what the front doors accepted
    assert (row.projects, row.receivers, row.minutes, row.outcomes) == (["p"], ["kafka"], [0], ["stored"])
    assert (row.amounts, row.places, row.offsets) == ([3], [], [])
    assert (row.topic, row.partition, row.first, row.last, row.records, row.stored_at) == ("events", 3, 4, 6, 3, 9)


def test_each_offset_has_its_place_though_cold_records_are_folded_last() -> None:
    count = ChunkCount()
    count.outcomes.note(record(2, 1), "b", Outcome.DUPLICATE)
    count.outcomes.note(record(0, 0), "a", Outcome.STORED)
    count.outcomes.note(record(1, 0), "a", Outcome.STORED)
    row = range_row(span(0, 2, 3), count, 9)
    assert row.projects == ["b", "a"]
    assert row.minutes == [MINUTE, 0]
    assert row.amounts == [1, 2]
    assert row.places == [1, 1, 0]


def test_offsets_without_a_record_are_told() -> None:
    count = ChunkCount()
    for offset in (0, 1, 4):
        count.outcomes.note(record(offset), "p", Outcome.STORED)
    assert range_row(span(0, 4, 3), count, 9).offsets == [0, 1, 4]


def test_a_record_without_events_belongs_to_whom_header_or_key_name() -> None:
    count = ChunkCount()
    count.outcomes.note_rejected(record(0, key=b"p/t"))
    count.outcomes.note_rejected(Record("events", 3, 1, Micros(0), b"p/t", b"", ((headers.PROJECT, b"q"),)))
    count.outcomes.note_rejected(record(2, key=None))
    count.outcomes.note_ignored(record(3, key=b"\xff/t"))
    row = range_row(span(0, 3, 4), count, 9)
    assert row.projects == ["p", "q", "", "\ufffd"]
    assert row.outcomes == ["rejected", "rejected", "rejected", "ignored"]


def test_the_route_is_told_by_the_first_header_of_that_name() -> None:
    count = ChunkCount()
    count.outcomes.note(record(0), "p", Outcome.STORED)
    named = ((headers.RECEIVER, b"otlp"), (headers.RECEIVER, b"kafka"))
    count.outcomes.note(Record("events", 3, 1, Micros(0), b"p/t", b"", named), "p", Outcome.STORED)
    assert range_row(span(0, 1, 2), count, 9).receivers == ["kafka", "otlp"]


def test_a_record_that_moved_is_counted_where_it_goes_and_no_front_door_is_asked_for_the_copy() -> None:
    count = ChunkCount()
    count.outcomes.note_moved(record(0))
    named = ((headers.RECEIVER, b"otlp"), (headers.MOVED, b"1"))
    count.outcomes.note(Record("events", 3, 1, Micros(0), b"p/t", b"", named), "p", Outcome.STORED)
    row = range_row(span(0, 1, 2), count, 9)
    assert (row.outcomes, row.receivers) == (["moved", "stored"], ["kafka", "moved"])


def test_a_moved_copy_tells_where_it_was_first_and_no_header_is_believed_that_is_too_long() -> None:
    count = ChunkCount()
    for offset, told in enumerate((b"events/3/29", b"x" * 300)):
        named = ((headers.RECEIVER, b"otlp"), (headers.MOVED_FROM, told), (headers.MOVED, b"2"))
        count.outcomes.note(Record("events", 3, offset, Micros(0), b"p/t", b"", named), "p", Outcome.STORED)
    assert range_row(span(0, 1, 2), count, 9).receivers == ["moved:events/3/29", "moved"]


def test_a_flood_of_made_up_projects_ends_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MOST_GROUPS", 5)
    count = ChunkCount()
    for offset in range(20):
        count.outcomes.note(record(offset), f"p{offset}", Outcome.REJECTED)
    row = range_row(span(0, 19, 20), count, 9)
    assert row.projects == [f"p{number}" for number in range(5)] + [OTHERS]
    assert row.amounts == [1] * 5 + [15]
    assert len(row.places) == 20
