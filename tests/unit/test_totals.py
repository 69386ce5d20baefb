"""Sums kept by differences are what a sum from scratch says, whatever happened before."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from pipeline.events.model import Micros
from pipeline.events.priced import UNPRICED, Priced
from pipeline.fold.observation import Observation
from pipeline.fold.totals import LEVELS, Totals


def priced(usage: dict[str, int], **cost: str) -> Priced:
    return UNPRICED._replace(usage=usage, cost={key: Decimal(value) for key, value in cost.items()})


def said(totals: Totals, nodes: dict[str, Observation]) -> tuple[Any, ...]:
    return (
        totals.count, totals.open, totals.errors, totals.level, totals.span(nodes.values()),
        list(totals.usage().items()), list(totals.cost().items()),
    )  # fmt: skip


def from_scratch(nodes: dict[str, Observation]) -> tuple[Any, ...]:
    some = list(nodes.values())
    usage: dict[str, int] = {}
    cost: dict[str, Decimal] = {}
    for node in some:
        if not node.repeats:
            for key, count in node.priced.usage.items():
                usage[key] = usage.get(key, 0) + count
            for key, amount in node.priced.cost.items():
                cost[key] = cost.get(key, Decimal(0)) + amount
    levels = [node.level for node in some]
    return (
        len(some), sum(node.open for node in some), levels.count("ERROR"),
        max(levels, key=LEVELS.index, default="DEFAULT"),
        (min((node.start for node in some), default=None),
         max((node.end for node in some if node.end is not None), default=None)),
        sorted(usage.items()), sorted(cost.items()),
    )  # fmt: skip


PRICES = [
    UNPRICED, UNPRICED, priced({"input": 1}), priced({"total": 0, "input": 0}), priced({"total": 3, "input": 3}),
    priced({}, total="0.1"), priced({"output": 2}, total="0.3", input="0.000000000001"), priced({}, total="0"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_the_sums_are_those_from_scratch(seed: int) -> None:
    chance, totals, nodes = Random(seed), Totals(), dict[str, Observation]()
    for _ in range(60):
        id_ = chance.choice("abcd")
        if id_ in nodes and chance.random() < 0.25:
            totals.drop(nodes.pop(id_))
        else:
            node = nodes.setdefault(id_, Observation(id_))
            end = chance.choice([None, Micros(chance.randrange(5))])
            totals.take(node, chance.choice(LEVELS), chance.random() < 0.5, Micros(chance.randrange(5)), end)
            node.priced, node.repeats = chance.choice(PRICES), chance.random() < 0.2
            totals.recount(node)
        if chance.random() < 0.5:
            assert said(totals, nodes) == from_scratch(nodes)
    assert said(totals, nodes) == from_scratch(nodes)


def test_nothing_sums_up_to_nothing() -> None:
    assert said(Totals(), {}) == (0, 0, 0, "DEFAULT", (None, None), [], [])


def test_a_key_that_nobody_has_any_more_is_gone_but_a_zero_is_known() -> None:
    totals, node = Totals(), Observation("o")
    for each, usage, cost in (
        (priced({"input": 0}, total="0"), {"input": 0}, {"total": Decimal(0)}),
        (UNPRICED, {}, {}),
        (priced({"input": 5}), {"input": 5}, {}),
    ):
        node.priced = each
        totals.recount(node)
        assert (totals.usage(), totals.cost()) == (usage, cost)


def test_the_span_is_looked_for_anew_only_where_it_must_be() -> None:
    totals, a, b = Totals(), Observation("a"), Observation("b")

    def unread() -> Any:
        raise AssertionError("not needed")
        yield

    totals.take(a, "DEFAULT", True, Micros(5), None)
    totals.take(b, "DEFAULT", False, Micros(3), Micros(9))
    assert totals.span(unread()) == (3, 9)
    totals.take(a, "DEFAULT", False, Micros(4), Micros(8))
    assert totals.span(unread()) == (3, 9)
    totals.take(b, "DEFAULT", False, Micros(6), Micros(7))
    assert totals.span([a, b]) == (4, 8)
