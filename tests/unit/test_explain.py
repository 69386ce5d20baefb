"""The explanation of a cost: every number of the arithmetic is there, and it adds up to what is stored."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.cost.book import PriceBook
from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Fields, Micros
from pipeline.ops.explain.explain import Stored, lines
from pipeline.ops.explain.unpriced import print_unpriced

JUNE, OCTOBER = (int(datetime(2024, month, 15, tzinfo=UTC).timestamp()) * 1_000_000 for month in (6, 10))
BOOK = PriceBook()


def stored(at: int, model: str = "gpt-4o", **changes: Any) -> Stored:
    """The row that a worker would have written."""
    given = changes.pop("given", {"input": 450, "output": 120})
    fields = Fields(model=model, usage=given)
    if "cost" in changes:
        fields["cost"] = changes.pop("cost")
    made = ObservationPricer(BOOK)("p", fields, Micros(at))
    row = Stored(
        "t", "o", "answer", "GENERATION", at, model, "", {}, made.usage, given, made.usage_source, made.usage_rule,
        made.cost, made.total_cost, made.cost_source, made.price_id, made.priced_model, list(made.flags), 2,
    )  # fmt: skip
    return row._replace(**changes)


def explained(row: Stored) -> str:
    return "\n".join(" ".join(line.split()) for line in lines(row, "p", BOOK))


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (JUNE, ["450 x 5 / 1000000 = 0.002250000000", "120 x 15 / 1000000 = 0.001800000000", "total 0.004050000000"]),
        (OCTOBER, ["450 x 2.5 / 1000000 = 0.001125000000", "120 x 10 / 1000000 = 0.001200000000", "total 0.002325"]),
    ],
)
def test_the_explainers_call_is_explained_by_the_price_of_its_day(at: int, said: list[str]) -> None:
    text = explained(stored(at))
    assert all(part in text for part in [*said, "read by rule disjoint", ": the same"]), text


def test_a_row_that_another_price_has_made_is_told_apart_with_the_command_to_mend_it() -> None:
    text = explained(stored(OCTOBER, total_cost=Decimal("0.00405"), price_id="old"))
    assert "stored: 0.004050000000 by old: DIFFERS" in text
    assert "spanfold reprice" in text


def test_a_given_cost_is_said_to_be_given() -> None:
    text = explained(stored(OCTOBER, cost={"input": Decimal("0.1"), "output": Decimal("0.2")}))
    assert "given by the client" in text
    assert "total 0.300000000000" in text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (stored(OCTOBER, model="nobody"), "no book knows the model"),
        (stored(OCTOBER, model=""), "no model was given"),
        (stored(OCTOBER, given={}), "none was given"),
        (stored(OCTOBER, given={"my_units": 3}), "has no price: not charged"),
        (stored(OCTOBER, usage={"input": 1, "total": 1}), "today's rules"),
        (stored(OCTOBER, usage_source="estimated", usage_rule="bytes/4"), "counted from the texts by bytes/4"),
    ],
)
def test_what_is_missing_is_named(row: Stored, said: str) -> None:
    assert said in explained(row)


def test_unpriced_models_are_listed_or_their_absence_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_unpriced([], as_json=False)
    row = {"project_id": "p", "model": "m", "calls": 3, "without_usage": 1, "tokens": 9, "first": "a", "last": "b"}
    print_unpriced([row], as_json=False)  # type: ignore[list-item]
    output = capsys.readouterr().out
    assert "has a cost" in output
    assert "p           m      3" in output
