"""The tables of tests/recorded/expected: they cover every recording, and what they compare with finds what differs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.expected_rows import agrees, mismatches, scenarios
from tests.fixtures.recordings import entities, requests

AT = datetime(2026, 11, 23, tzinfo=UTC)


def row(name: str, **columns: Any) -> dict[str, Any]:
    return {"name": name, "start_time": AT, **columns}


def test_every_recorded_request_stands_in_exactly_one_table() -> None:
    tables = sorted(
        (c, number) for scenario in scenarios() for c, numbers in scenario.sent.items() for number in numbers
    )
    assert tables == [(request.client, request.number) for request in requests()]


def test_a_recording_is_read_without_our_own_decoders() -> None:
    sent = [request for request in requests() if request.client == "langfuse-python-5.0.4" and request.number == "023"]
    found = entities(sent)
    assert sorted(found.observations) == ["34762e9313a940ef", "48c40c5f5ef19e9f"]
    assert found.traces == {"9175e8c9956a3560587fe7b45f9f7bc7"}


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (Decimal("0.30"), "0.3", True), (Decimal("0.31"), "0.3", False), (None, None, True), (None, "", False),
        ({"a": "1", "b": "2"}, {"a": "1"}, True), ({"a": "1"}, {"a": "2"}, False), ({}, {"a": "1"}, False),
        ({"input": 1, "total": 1}, {"input": 1}, False), ({"input": 1}, {"input": 1}, True),
        ({"total": Decimal("0.1")}, {"total": "0.1"}, True), (1, True, False), (1.0, 1.0, True), (AT, None, False),
        (AT, "2026-11-23T00:00:00+00:00", True), ("thread-root-3", "thread-root-*", True), (["a"], ["a"], True),
    ],
)  # fmt: skip
def test_a_column_agrees_only_with_what_a_table_says(found: Any, wanted: Any, same: bool) -> None:
    assert agrees(found, wanted) is same


def test_wrong_counts_wrong_columns_and_unknown_names_are_told() -> None:
    rows = [row("a", type="SPAN"), row("b"), row("s1"), row("s2")]
    assert mismatches(rows, {"a": {"type": "SPAN"}, "b": {}, "s?": {"count": 2}}, "c") == []
    assert mismatches(rows, {"a": {"type": "TOOL"}, "b": {}, "s?": {"count": {"c": 2}}}, "c") == [
        "a type: 'SPAN', not 'TOOL'"
    ]
    assert mismatches(rows, {"a": {"count": 2}, "s*": {"count": 2}}, "c") == [
        "a: 1 rows, not 2",
        "b stands in no table",
    ]
    assert mismatches(rows, {"a": {}, "*": {"count": 3}}, "c") == []


def test_rows_of_one_name_are_held_to_a_list_in_the_order_of_their_starts() -> None:
    later = row("a", output="2") | {"start_time": AT.replace(hour=1)}
    assert mismatches([later, row("a", output="1")], {"a": [{"output": "1"}, {"output": "2"}]}, "c") == []
    assert len(mismatches([later, row("a", output="1")], {"a": [{"output": "2"}, {"output": "1"}]}, "c")) == 2
