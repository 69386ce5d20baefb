"""Counts of front doors become rows; what is none becomes a dead letter."""

from typing import Any

import msgspec
import pytest

from pipeline.events.edge_counts import Publication
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.store.retention import expiry
from pipeline.stream.edge_count_row import edge_count_row

TOLD = Publication("door", 3, 9, "events", ["a", "b"], [0, 1], [60, 60], [5, 7], [0, 3], [4, 9])


def record(value: bytes | None) -> Record:
    return Record("edge-counts", 0, 0, Micros(0), None, value, ())


def test_what_a_front_door_tells_is_a_row() -> None:
    row = edge_count_row(record(msgspec.json.encode(TOLD)), 30)
    told = ("door", 3, 9, "events", ["a", "b"], [0, 1], [60, 60], [5, 7], [0, 3], [4, 9])
    assert row == (*told, expiry(9, 30))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b"[1]", b'{"instance": 1}'])
def test_bytes_that_are_no_counts_are_refused(value: bytes | None) -> None:
    with pytest.raises(DecodeError) as refused:
        edge_count_row(record(value))
    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("change", [{"projects": ["a"]}, {"lasts": []}, {"records": [1, 2, 3]}])
def test_lists_of_different_lengths_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as refused:
        edge_count_row(record(msgspec.json.encode(msgspec.structs.replace(TOLD, **change))))
    assert refused.value.reason is Reason.INVALID
