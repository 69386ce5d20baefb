"""A tree under any changes, and a very deep and a very wide one: what it notes is right and costs what changed."""

from decimal import Decimal
from random import Random

import pytest

from pipeline.fold.tree import MAX_PATH
from tests.unit.grown import Grown, expected

IDS = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_the_noted_rows_keep_the_table_right(seed: int) -> None:
    """Each change of a few observations that are everybody's parents; rows are written now and then."""
    chance, made = Random(seed), Grown()
    for _ in range(40):
        id_ = chance.choice(IDS)
        if id_ in made.said and chance.random() < 0.2:
            made.drop(id_)
        else:
            cost = chance.choice([None, Decimal(0), Decimal(chance.randrange(5))])
            parent, model = chance.choice([*IDS, "", "elsewhere"]), chance.choice(["", "m", "n"])
            made.say(id_, parent, chance.randrange(3), cost, chance.randrange(3), model)
        if chance.random() < 0.5:
            made.write()
            assert made.written == expected(made.said)


DEEP, WIDE = 5_000, 100_000


def _in_order(ids: list[str], order: str) -> list[str]:
    if order == "backward":
        return ids[::-1]
    if order == "shuffled":
        Random(1).shuffle(ids)
    return ids


@pytest.mark.timeout(30)
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_a_very_deep_chain_is_placed_and_its_paths_stay_short(order: str) -> None:
    made = Grown()
    for number, id_ in enumerate(_in_order([f"o{n}" for n in range(DEEP)], order)):
        at = int(id_[1:])
        made.say(id_, f"o{at - 1}" if at else "", at, None, 1)
        if number % 100 == 0:
            made.tree.resolve()
    made.write()
    last = made.written[f"o{DEEP - 1}"]
    assert (last.depth, made.written["o0"].tokens) == (DEEP - 1, DEEP)
    assert last.path == [f"o{n}" for n in range(DEEP - MAX_PATH, DEEP)]
    whole = made.written[f"o{MAX_PATH - 1}"]
    assert len(whole.path) == MAX_PATH == whole.depth + 1
    made.say(f"o{DEEP - 1}", f"o{DEEP - 2}", DEEP - 1, None, 5)
    assert len(made.write()) == DEEP  # all above it have other sums


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("order", "parent"), [("forward", "elsewhere"), ("backward", "root")])
def test_a_very_wide_fan_costs_what_changes(order: str, parent: str) -> None:
    made = Grown()
    for id_ in _in_order(["root", *(f"o{n}" for n in range(WIDE))], order):
        made.say(id_, *(("",) if id_ == "root" else (parent, 0, None, 1)))
    assert len(made.write()) == WIDE + 1
    assert (made.written["root"].child_count, made.written["root"].tokens) == (WIDE, WIDE)
    for number in range(100):
        made.say(f"o{number}", parent, 0, None, 2)
        assert made.write() == {"root", f"o{number}"}
    made.drop("o0").write()
    assert (made.written["root"].child_count, made.written["root"].tokens) == (WIDE - 1, WIDE + 99 - 1)
