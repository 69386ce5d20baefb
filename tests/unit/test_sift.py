"""Sifting: all rows at fault are found, no other, and what is tried on the way is never stored."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import sift as sift_module
from pipeline.store.sift import Alike, sift, sift_encodable, violated_row
from pipeline.store.tables import OBSERVATIONS, TABLES
from tests.fixtures.store import observation_row


class Row(NamedTuple):
    """`a` below zero is refused; `b` makes each row another."""

    a: int
    b: int = 0


def violated(row: int, expression: str = "a >= 0") -> DatabaseError:
    where = f"Code: 469. DB::Exception: Constraint `c` for table x.y (uuid) is violated at row {row}."
    return DatabaseError(f"{where} Expression: ({expression}). Column values: a = -1. b", code=469)


class Table:
    """Refuses a block with rows below zero, naming the first; notes what it stored."""

    def __init__(self, expression: str = "a >= 0") -> None:
        self.stored: list[Row] = []
        self.tries = 0
        self._expression = expression

    async def attempt(self, rows: Sequence[Any]) -> Exception | None:
        self.tries += 1
        for number, row in enumerate(rows, 1):
            if row.a < 0:
                return violated(number, self._expression)
        self.stored += rows
        return None


@given(st.lists(st.integers(-3, 30), max_size=60), st.integers(1, 9), st.sampled_from(["a >= 0", "b != a", "f(x)"]))
async def test_all_bad_rows_are_found_and_nothing_is_stored(values: list[int], size: int, expression: str) -> None:
    """Also where the message names no column of ours."""
    rows = [Row(value, number) for number, value in enumerate(values)]
    table = Table(expression)
    first = await table.attempt(rows)
    if first is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sift_module, "SLICE", size)
        sifted = await sift(rows, first, table.attempt)
    assert sifted is not None
    bad: Any = sorted(refused.row for refused in sifted.refused)
    clean: Any = sifted.clean
    assert clean == [row for row in rows if row.a >= 0]
    assert bad == sorted(row for row in rows if row.a < 0)
    assert table.stored == []


async def tries(rows: list[Row], expression: str = "a >= 0") -> int:
    table = Table(expression)
    first = await table.attempt(rows)
    assert first is not None
    await sift(rows, first, table.attempt)
    return table.tries


async def test_one_bad_value_costs_a_handful_of_requests_however_often_it_comes() -> None:
    assert await tries([Row(-1 if number % 100 == 3 else 1, number) for number in range(20_000)]) < 12
    assert await tries([Row(-1, number) for number in range(20_000)]) == 1


async def test_bad_rows_that_all_differ_cost_a_request_each_and_some_for_the_others() -> None:
    rows = [Row(-number if number % 100 == 3 else 1) for number in range(20_000)]
    assert await tries(rows) < 200 + 20_000 / sift_module.SLICE + 10


async def test_an_error_that_names_no_row_is_left_to_halving() -> None:
    rows: Any = [Row(1), Row(2), Row(3)]
    for error in (DatabaseError("Constraint violated", code=469), DatabaseError("at row 1.", code=395), violated(4)):
        assert await sift(rows, error, Table().attempt) is None


def test_what_a_row_says_of_itself_is_not_taken_for_the_expression() -> None:
    error = DatabaseError(
        "is violated at row 1. Expression: (a > 0). Column values: b = 'Expression: (b). Column values:'"
    )
    alike = Alike()
    alike.refuse(Row(1, 2), error)
    refused: list[Any] = []
    assert alike.without([Row(1, 3), Row(2, 2)], refused) == [Row(2, 2)]
    assert [each.row for each in refused] == [Row(1, 3)]


async def test_rows_that_answers_leave_undecided_are_kept() -> None:
    async def puzzling(rows: Sequence[Any]) -> Exception | None:
        return DatabaseError("something else", code=241)

    rows: Any = [Row(number) for number in range(500)]
    sifted = await sift(rows, violated(1), puzzling)
    assert sifted is not None
    found: Any = (sifted.clean, [bad.row for bad in sifted.refused])
    assert found == (rows[1:], [Row(0)])


def test_rows_are_counted_from_one() -> None:
    assert [violated_row(violated(row), 3) for row in (0, 1, 3, 4)] == [None, 0, 2, None]


def test_rows_that_cannot_be_encoded_are_found_without_sending_anything() -> None:
    rows = [observation_row(observation_id=f"o{number}") for number in range(50)]
    for number in (0, 7, 8, 49):
        rows[number] = rows[number]._replace(output="half a pair: \ud83d")
    sifted = sift_encodable(TABLES[OBSERVATIONS], rows)
    assert [bad.row for bad in sifted.refused] == [rows[0], rows[7], rows[8], rows[49]]
    assert len(sifted.clean) == 46
