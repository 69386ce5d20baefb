"""The filter of known traces: it never forgets one, and it is exact about the hashes it was given."""

from array import array

import pytest

from pipeline.stream import known
from pipeline.stream.known import KnownTraces


def test_an_empty_filter_knows_nothing() -> None:
    assert 0 not in KnownTraces()
    assert len(KnownTraces()) == 0


def test_it_knows_what_it_started_from_and_what_was_added() -> None:
    traces = KnownTraces()
    traces.replace(array("Q", [1, 5, 2**64 - 1]))
    traces.add(3)
    assert [number in traces for number in (0, 1, 2, 3, 5, 6, 2**64 - 1)] == [
        False,
        True,
        False,
        True,
        True,
        False,
        True,
    ]


def test_what_was_added_before_the_archive_answered_stays() -> None:
    traces = KnownTraces()
    traces.add(3)
    traces.replace(array("Q", [1]))
    assert 3 in traces
    assert 1 in traces


def test_adding_twice_holds_one() -> None:
    traces = KnownTraces()
    traces.replace(array("Q", [1]))
    for number in (1, 2, 2):
        traces.add(number)
    assert len(traces) == 2


def test_recent_additions_are_merged_in_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MERGE_AT_LEAST", 8)
    traces = KnownTraces()
    numbers = [number * 7919 % 1009 for number in range(500)]
    for number in numbers:
        traces.add(number)
    assert all(number in traces for number in numbers)
    assert len(traces) == len(set(numbers))
    assert not any(number in traces for number in set(range(1009)) - set(numbers))
    assert len(traces._recent) <= max(8, len(traces) // 8)
