"""Sifting: all rows at fault are found, no other, and what is tried on the way is never stored."""

from collections.abc import Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import sift as sift_module
from pipeline.store.sift import sift, sift_encodable, violated_row
from pipeline.store.tables import OBSERVATIONS, TABLES
from tests.fixtures.store import observation_row


def violated(row: int) -> DatabaseError:
    text = (
        f"Code: 469. DB::Exception: Constraint `c` for table x.y (uuid) is violated at row {row}. Expression: (a != 1)"
    )
    return DatabaseError(text, code=469)


class Table:
    """Refuses a block with rows below zero, naming the first; notes what it stored."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.tries = 0

    async def attempt(self, rows: Sequence[Any]) -> Exception | None:
        self.tries += 1
        for number, row in enumerate(rows, 1):
            if row < 0:
                return violated(number)
        self.stored += rows
        return None


@given(st.lists(st.integers(-1, 3), max_size=60), st.integers(1, 9))
async def test_all_bad_rows_are_found_in_order_and_nothing_is_stored(rows: list[int], size: int) -> None:
    table = Table()
    first = await table.attempt(rows)
    if first is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sift_module, "SLICE", size)
        sifted = await sift(rows, first, table.attempt)  # type: ignore[arg-type]
    assert sifted is not None
    found: Any = (sifted.clean, [bad.row for bad in sifted.refused])
    assert found == ([row for row in rows if row >= 0], [row for row in rows if row < 0])
    assert table.stored == []
    assert table.tries <= 1 + len(rows) / size + 1 + len(sifted.refused)


async def test_an_error_that_names_no_row_is_left_to_halving() -> None:
    rows: Any = [1, 2, 3]
    for error in (DatabaseError("Constraint violated", code=469), DatabaseError("at row 1.", code=395), violated(4)):
        assert await sift(rows, error, Table().attempt) is None


async def test_rows_that_answers_leave_undecided_are_kept() -> None:
    async def puzzling(rows: Sequence[Any]) -> Exception | None:
        return DatabaseError("something else", code=241)

    rows: Any = list(range(500))
    sifted = await sift(rows, violated(1), puzzling)
    assert sifted is not None
    found: Any = (sifted.clean, [bad.row for bad in sifted.refused])
    assert found == (rows[1:], [0])


def test_rows_are_counted_from_one() -> None:
    assert [violated_row(violated(row), 3) for row in (0, 1, 3, 4)] == [None, 0, 2, None]


def test_rows_that_cannot_be_encoded_are_found_without_sending_anything() -> None:
    rows = [observation_row(observation_id=f"o{number}") for number in range(50)]
    for number in (0, 7, 8, 49):
        rows[number] = rows[number]._replace(output="half a pair: \ud83d")
    sifted = sift_encodable(TABLES[OBSERVATIONS], rows)
    assert [bad.row for bad in sifted.refused] == [rows[0], rows[7], rows[8], rows[49]]
    assert len(sifted.clean) == 46
