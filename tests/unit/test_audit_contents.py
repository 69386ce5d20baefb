"""What rows say against what they should: equal values in whatever form, prices by the book that made them."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.audit.contents import KINDS, PRICED, Books, Comparison, Expected, checksums
from pipeline.cost.base import base_version
from pipeline.events.flags import Flag
from pipeline.store.rows import EPOCH_STEP, ObservationRow, ScoreRow, TraceRow
from pipeline.stream.rows import Rows
from tests.fixtures.store import observation_row

NAME = ("p", "t")
COLUMNS = KINDS[1].columns


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.0"), Decimal("1.000000000000")), (0.0, -0.0), (2.0, 2), (True, 1), (float("nan"), float("nan")),
        (Flag.COST_MISMATCH, str(Flag.COST_MISMATCH.value)), ([Flag.COST_MISMATCH], [Flag.COST_MISMATCH.value]),
        ({"a": Decimal("0E-12")}, {"a": Decimal(0)}), ((), []),
    ],
)  # fmt: skip
def test_what_a_column_holds_as_the_same_is_the_same(one: Any, other: Any) -> None:
    assert checksums([one]) == checksums([other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, ""), (None, 0), ("1", 1), (Decimal("0.1"), Decimal("0.100000000001")), (2**60, 2**60 + 1),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (["a", "b"], ["ab"]), ([], None), ("a", "a "), (1.5, 1.25),
    ],
)  # fmt: skip
def test_everything_else_is_not(one: Any, other: Any) -> None:
    assert checksums([one]) != checksums([other])


class Stored:
    """The store's rows of observations, of the other tables none."""

    def __init__(self, *rows: ObservationRow) -> None:
        self._rows = rows

    @contextmanager
    def query_rows_stream(self, query: str, **_: Any) -> Iterator[Iterator[list[Any]]]:
        rows = self._rows if "observations_rows" in query else ()
        yield iter([
            [row.project_id, row.trace_id, row.observation_id, row.row_version, *(getattr(row, c) for c in COLUMNS)]
            for row in rows
        ])  # fmt: skip


def differing(expected: ObservationRow, stored: ObservationRow, *, epoch: int | None = 0) -> tuple[Any, set[Any]]:
    """(columns, traces whose prices were not compared), of a trace of one event."""
    comparison = Comparison()
    comparison.expect(NAME, Rows([], [expected], []))
    comparison.judge(NAME, Expected(1, 0, epoch))
    found = comparison.differing(Stored(stored))  # type: ignore[arg-type]
    return found.get(NAME), comparison.unpriced


ROW = observation_row(project_id="p", trace_id="t", row_version=2, price_id="x", total_cost=Decimal(1))


def test_columns_that_differ_are_named_but_for_those_that_tell_when() -> None:
    assert differing(ROW, ROW._replace(first_seen=9, updated_at=9, row_version=3, expires_at=9)) == (None, set())
    assert differing(ROW, ROW._replace(name="other", total_cost=Decimal(2)))[0] == [
        "observation.name", "observation.total_cost",
    ]  # fmt: skip


def test_a_row_from_more_events_than_were_folded_is_left_for_the_next_look() -> None:
    assert differing(ROW, ROW._replace(name="other", row_version=4)) == (None, set())


def test_prices_are_compared_with_the_book_that_made_them() -> None:
    dear = ROW._replace(total_cost=Decimal(2))
    assert differing(ROW, dear, epoch=None) == (None, {NAME})
    assert differing(ROW, dear._replace(name="other"), epoch=None) == (["observation.name"], {NAME})
    assert differing(ROW, dear._replace(row_version=5 * EPOCH_STEP + 2)) == (None, set())  # priced again meanwhile
    assert differing(ROW, dear)[0] == ["observation.total_cost"]
    assert differing(ROW, dear._replace(price_id="y")) == (None, {NAME})  # of a base before this one, perhaps
    published = differing(ROW, dear._replace(price_id="y", row_version=EPOCH_STEP + 2), epoch=1)[0]
    assert published == ["observation.price_id", "observation.total_cost"]


def test_what_depends_on_prices_are_columns() -> None:
    assert {name for row in (TraceRow, ObservationRow, ScoreRow) for name in row._fields} >= PRICED


def test_a_book_is_that_of_one_epoch_on_this_base() -> None:
    asked: list[int] = []
    documents = {
        1: SimpleNamespace(document={}, base=base_version()), 2: SimpleNamespace(document={}, base="another"),
        3: SimpleNamespace(document={"prices": "nonsense"}, base=base_version()),
    }  # fmt: skip
    registry: Any = SimpleNamespace(prices_of=lambda epoch: asked.append(epoch) or documents.get(epoch))
    books = Books(registry)
    assert [books.of({epoch})[1] for epoch in (0, 1, 2, 3, 4, 1)] == [True, True, False, False, False, True]
    assert books.of({1})[0].epoch == 1
    assert books.of({0, 1})[1] is False
    assert books.of(())[1] is True
    assert asked == [1, 2, 3, 4]  # once each
