"""I1 at the ends of what an event may say: no order, and no moment of writing in between, shows in the rows."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Kind, Micros
from pipeline.events.values import MAX_MICROS
from pipeline.fold.attributes import MOST_COPIED
from pipeline.fold.build import build
from pipeline.fold.state import TraceState
from pipeline.stream.rows import Rows, add_rows
from tests.oracle.event_set import Known
from tests.oracle.nasty import AT, known

PRICE = ObservationPricer()
MOST = 2**63 - 1
SMALLEST, LARGEST = Decimal("0.000000000001"), Decimal("999999.999999999999")


def span(id_: str, at: int, **fields: Any) -> Known:
    return known(Kind.OBSERVATION, "t", id_, f"{id_} {at}", Micros(AT + at), fields)


def events(chance: Random) -> list[Known]:
    """Absurd counts of the dearest model, most of them corrected later; the smallest and the largest amounts."""
    ids = [f"o{number}" for number in range(6)]
    said = [span("root", 0, start_time=0, end_time=MAX_MICROS - 1, cost={"total": SMALLEST})]
    for id_ in ids:
        parent = chance.choice(["root", *ids])
        usage = {"input": chance.choice([MOST, 1]), "output": chance.choice([MOST, 3])}
        said.append(span(id_, 0, parent_observation_id=parent, model="o1-pro", usage=usage, start_time=MAX_MICROS - 1))
        if chance.random() < 0.7:
            said.append(span(id_, 1, usage={"input": 1, "output": 1}, end_time=0))
        if chance.random() < 0.4:
            said.append(span(id_, 2, cost=chance.choice([{"output": LARGEST, "x": LARGEST}, {"total": SMALLEST}])))
    return said


def rows_of(said: list[Known], chance: Random, often: float) -> dict[tuple[str, str], Any]:
    """The newest row of everything, where rows were written at random moments."""
    state, newest = TraceState("p", "t", Micros(AT)), dict[tuple[str, str], Any]()
    for offset, each in enumerate(said):
        state.add(each.event, each.identity, offset, 100, Micros(AT))
        if chance.random() < often or offset == len(said) - 1:
            rows = Rows([], [], [])
            add_rows(rows, state, build(state, PRICE), settled=False, now=Micros(AT))
            newest |= {("trace", row.trace_id): row._replace(row_version=0) for row in rows.traces}
            newest |= {("observation", row.observation_id): row._replace(row_version=0) for row in rows.observations}
    return newest


@pytest.mark.parametrize("seed", range(12))
def test_sums_that_no_column_holds_leave_no_trace_in_later_ones(seed: int) -> None:
    chance = Random(seed)
    said = events(chance)
    expected = rows_of(said, chance, 0)
    for _ in range(4):
        assert rows_of(chance.sample(said, len(said)), chance, 0.7) == expected


def test_attributes_that_are_too_long_for_so_many_rows_are_cut_alike_in_any_order() -> None:
    chance = Random(1)
    said = [span(f"o{number}", number, tags=[f"{number} {'t' * 2_000}"]) for number in range(70)]
    said.append(known(Kind.TRACE, "t", "t", "e", Micros(AT), {"user_id": "u" * 2_000_000, "tags": ["zz"]}))
    expected = rows_of(said, chance, 0)
    trace = expected["trace", "t"]
    assert (trace.flags, len(trace.user_id) < 2_000_000, trace.tags[-1]) == (["attributes_cut"], True, "zz")
    assert sum(len(row.user_id) for row in expected.values()) < MOST_COPIED
    for _ in range(2):
        assert rows_of(chance.sample(said, len(said)), chance, 0.1) == expected
