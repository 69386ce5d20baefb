"""Encoding rows: what does not fit is refused with its column's name, what fits is always the same bytes."""

from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from pipeline.store.native import EncodeError, encode
from pipeline.store.tables import OBSERVATIONS, RAW_EVENTS, SCORES, TABLES, TRACES
from tests.fixtures.store import observation_row, raw_event_row, score_row, trace_row


def test_the_same_rows_are_the_same_bytes() -> None:
    rows = [observation_row(), observation_row(observation_id="other", cost={}, total_cost=None)]
    assert encode(TABLES[OBSERVATIONS], rows) == encode(TABLES[OBSERVATIONS], list(rows))


def test_a_block_starts_with_the_counts_of_columns_and_rows() -> None:
    table = TABLES[SCORES]
    assert encode(table, [score_row()] * 3)[:2] == bytes([len(table.columns), 3])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("input", "half of a pair: \ud83d"),
        ("input", None),
        ("input", 7),
        ("type", "\udc00"),
        ("start_time", None),
        ("start_time", 2**63),
        ("start_time", 1.5),
        ("end_time", 2**63),
        ("latency_ms", "fast"),
        ("depth", -1),
        ("depth", 2**32),
        ("subtree_tokens", 2**64),
        ("prompt_version", -1),
        ("usage", {"input": -1}),
        ("usage", {"input": None}),
        ("usage", None),
        ("usage", [("input", 1)]),
        ("metadata", {"key": 7}),
        ("metadata", {"key": "\ud800"}),
        ("tags", None),
        ("tags", [None]),
        ("total_cost", Decimal(1_000_000)),
        ("total_cost", Decimal("-1e6")),
        ("total_cost", Decimal("NaN")),
        ("total_cost", Decimal("Infinity")),
        ("cost", {"input": Decimal(1_000_000)}),
        ("cost", {"input": None}),
        ("subtree_cost", Decimal("1e26")),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(column: str, value: Any) -> None:
    rows = [observation_row(), observation_row(**{column: value})]
    with pytest.raises(EncodeError) as error:
        encode(TABLES[OBSERVATIONS], rows)
    assert error.value.column == column
    assert f"{OBSERVATIONS}.{column}" in str(error.value)


@pytest.mark.parametrize("length", [15, 17])
def test_an_identity_has_sixteen_bytes(length: int) -> None:
    rows = [raw_event_row(), raw_event_row(identity=b"x" * length)]
    with pytest.raises(EncodeError):
        encode(TABLES[RAW_EVENTS], rows)


def test_a_mixture_of_text_and_bytes_is_refused() -> None:
    mixed = raw_event_row()._replace(value="text")  # type: ignore[arg-type]  (what a caller's mistake would do)
    with pytest.raises(EncodeError):
        encode(TABLES[RAW_EVENTS], [raw_event_row(), mixed])


@pytest.mark.parametrize(
    ("table", "row"), [(TRACES, trace_row()), (SCORES, score_row()), (RAW_EVENTS, raw_event_row())]
)
def test_rows_have_one_value_for_each_column(table: str, row: NamedTuple) -> None:
    assert tuple(TABLES[table].columns) == row._fields


def test_a_value_that_cannot_be_written_is_not_told_in_the_error() -> None:
    """Errors go to logs, and what people said to a model must not."""
    row = observation_row(input="a private sentence \ud800")
    with pytest.raises(EncodeError, match=r"observations_rows\.input") as caught:
        encode(TABLES[OBSERVATIONS], [row])
    assert "private" not in str(caught.value)
