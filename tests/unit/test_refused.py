"""Which events become dead letters when the store refuses a row that was made from them."""

from typing import Any

from pipeline.events.model import Micros
from pipeline.store.insert import Refused
from pipeline.store.lookups import Entity, RawEvent
from pipeline.stream.refused import entities_of, refused_letters
from tests.fixtures.store import observation_row, offset_range_row, raw_event_row, score_row, trace_row


def refused(row: Any) -> Refused:
    return Refused(row, 469, "violated")


def event(offset: int, kind: str, entity: str, trace: str = "trace", project: str = "project") -> RawEvent:
    return RawEvent(
        project, trace, f"e{offset}", b"", kind, entity, "x/y", b"bytes", "kafka", Micros(1), "events", 3, offset, 0,
        Micros(2), Micros(1),
    )  # fmt: skip


def offsets(rows: list[Any], archived: list[RawEvent]) -> list[int]:
    return [letter.record.offset for letter in refused_letters([refused(row) for row in rows], archived)]


def test_what_is_asked_of_the_archive_are_the_entities_of_the_rows_each_once() -> None:
    rows = [
        trace_row(), observation_row(observation_id="a"), observation_row(observation_id="a"), score_row(),
        score_row(trace_id="", score_group="session:s"), raw_event_row(), offset_range_row(0, 1),
    ]  # fmt: skip
    assert entities_of([refused(row) for row in rows]) == [
        Entity("project", "trace", "trace", "trace"),
        Entity("project", "trace", "observation", "a"),
        Entity("project", "trace", "score", "score"),
        Entity("project", "session:s", "score", "score"),
    ]


def test_all_events_of_a_refused_row_become_letters_and_no_others() -> None:
    archived = [
        event(1, "observation", "a"), event(2, "observation", "a"), event(3, "observation", "b"),
        event(4, "score", "a"), event(5, "observation", "a", trace="other"), event(6, "observation", "a", project="q"),
    ]  # fmt: skip
    assert offsets([observation_row(observation_id="a")], archived) == [1, 2]


def test_a_trace_known_from_its_spans_alone_is_told_by_its_first_event() -> None:
    assert offsets([trace_row()], [event(7, "observation", "a")]) == [7]


def test_a_refused_event_is_its_own_letter() -> None:
    [letter] = refused_letters([refused(raw_event_row("e", b"bytes", offset=9))], [])
    assert (letter.record.offset, letter.record.value, letter.record.key) == (9, b"bytes", b"project/trace")
    assert (letter.reason, letter.stage, letter.detail) == ("store_refused", "store", "violated")


def test_a_record_behind_many_rows_is_one_letter() -> None:
    archived = [event(1, "observation", "a"), event(1, "trace", "trace")]
    assert offsets([observation_row(observation_id="a"), trace_row(), trace_row()], archived) == [1]


def test_ten_thousand_refused_rows_are_matched_in_an_instant() -> None:
    rows = [observation_row(observation_id=f"o{number}") for number in range(10_000)]
    assert len(offsets(rows, [event(number, "observation", f"o{number}") for number in range(10_000)])) == 10_000
