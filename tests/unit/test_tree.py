"""The tree of a trace: any order of arrival, parents that are missing or change, circles, sums, and what it notes."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.grown import Grown, Said, expected, orders


def test_depth_path_and_children_come_from_parent_links() -> None:
    places = Grown(root="", a="root", b="root", leaf="a").places()
    assert {id_: (p.depth, p.path, p.child_count) for id_, p in places.items()} == {
        "root": (0, ["root"], 2),
        "a": (1, ["root", "a"], 1),
        "b": (1, ["root", "b"], 0),
        "leaf": (2, ["root", "a", "leaf"], 0),
    }
    assert not any(place.orphan or place.cut for place in places.values())


def test_child_before_parent_builds_the_same_tree() -> None:
    parents = {"root": "", "a": "root", "b": "a", "lost": "elsewhere", "x": "y", "y": "x"}
    said = {id_: Said(parent, tokens=10**at) for at, (id_, parent) in enumerate(parents.items())}
    should = expected(said)
    assert all(made.places() == should for made in orders(said))


def test_an_observation_whose_parent_is_missing_hangs_under_the_root() -> None:
    place = Grown(root="", lost="elsewhere", under="lost").places()["lost"]
    assert (place.path, place.orphan, place.child_count) == (["root", "lost"], True, 1)


def test_without_a_root_an_orphan_stands_at_the_top() -> None:
    made = Grown(lost="elsewhere", under="lost")
    assert (made.root, len(made.tree.tops)) == ("", 0)
    assert [made.places()[id_].path for id_ in ("lost", "under")] == [["lost"], ["lost", "under"]]


def test_a_parent_that_arrives_late_frees_its_orphans() -> None:
    made = Grown(root="", lost="late", too="late", under="lost")
    assert made.places()["root"].child_count == 2
    made.say("late", "root")
    places = made.places()
    assert [places[id_].child_count for id_ in ("root", "late")] == [1, 2]
    assert (places["under"].path, places["lost"].orphan) == (["root", "late", "lost", "under"], False)


def test_a_circle_is_cut_at_its_smallest_id() -> None:
    places = Grown(root="", c="b", b="a", a="c", under="b").places()
    assert {id_ for id_, place in places.items() if place.cut} == {"a"}
    assert places["c"].path == ["root", "a", "b", "c"]
    assert places["under"].path == ["root", "a", "b", "under"]


def test_two_circles_are_both_cut_even_without_a_root() -> None:
    places = Grown(a="b", b="a", c="d", d="c").places()
    assert {id_ for id_, place in places.items() if place.cut} == {"a", "c"}
    assert {id_ for id_, place in places.items() if place.depth == 0} == {"a", "c"}


def test_its_own_parent_is_a_circle_of_one() -> None:
    place = Grown(root="", me="me").places()["me"]
    assert (place.path, place.cut, place.orphan) == (["root", "me"], True, False)
    said = {"me": Said("me"), "kid": Said("me"), "root": Said()}
    assert all(made.places() == expected(said) for made in orders(said))


@pytest.mark.parametrize("changed", ["a", "b", "c"])
@pytest.mark.parametrize("parent", ["", "root", "elsewhere", "under", "itself"])
def test_a_circle_dissolves_where_one_of_it_gets_another_parent(changed: str, parent: str) -> None:
    made = Grown(root="", c="b", b="a", a="c", under="b", root2="")
    made.write()
    made.say(changed, changed if parent == "itself" else parent, 9)
    made.write()
    assert made.written == made.places() == expected(made.said)


def test_a_circle_dissolves_where_one_of_it_is_dropped_and_closes_when_it_is_back() -> None:
    made = Grown(root="", c="b", b="a", a="c", under="b")
    made.write()
    for id_ in "abc":
        said = made.said[id_]
        for change in (lambda id_=id_: made.drop(id_), lambda id_=id_, said=said: made.say(id_, *said)):
            change()
            made.write()
            assert made.written == made.places() == expected(made.said)


def test_the_root_is_the_one_that_starts_first_then_the_smallest_id() -> None:
    said = {"late": Said(at=2), "b": Said(at=1), "a": Said(at=1)}
    for made in orders(said):
        assert (made.root, len(made.tree.tops)) == ("a", 3)
        assert [place.depth for place in made.places().values()] == [0, 0, 0]


def test_orphans_and_cut_circles_follow_the_root_wherever_it_goes() -> None:
    made = Grown(lost="elsewhere", me="me").say("first", "", 5)
    assert (made.root, made.places()["lost"].path) == ("first", ["first", "lost"])
    steps: list[tuple[str, tuple[Any, ...], str]] = [
        ("earlier", ("", 3), "earlier"),  # a new one
        ("first", ("", 1), "first"),  # the other one starts first
        ("first", ("", 9), "earlier"),  # and then last
        ("earlier", ("first", 3), "first"),  # the root got a parent
        ("first", ("elsewhere", 9), ""),  # no root is left
    ]
    for id_, said, root in steps:
        made.say(id_, *said)
        made.write()
        assert made.root == root
        assert made.written["lost"].path == ([root] if root else []) + ["lost"]
        assert made.written == made.places() == expected(made.said)


def test_a_root_that_is_dropped_leaves_its_place_to_the_next() -> None:
    made = Grown(root="", kid="root", lost="elsewhere", other="")
    made.write()
    made.drop("root").write()
    assert (made.root, made.written["kid"].orphan, made.written["kid"].path) == ("other", True, ["other", "kid"])
    made.drop("other").write()
    assert (made.root, made.written["kid"].path) == ("", ["kid"])
    made.say("root", "").write()
    assert (made.written["kid"].orphan, made.written["kid"].path) == (False, ["root", "kid"])
    assert made.written == expected(made.said)


def test_one_that_is_no_more_is_never_noted_though_it_was_the_root() -> None:
    made = Grown(root="")
    made.write()
    made.drop("root").say("lost", "elsewhere")
    assert (made.write(), set(made.written)) == ({"lost"}, {"lost"})


def test_no_observations_make_an_empty_tree() -> None:
    made = Grown()
    assert (made.places(), made.root) == ({}, "")
    made.say("a").drop("a")
    assert (made.places(), made.root, made.write()) == ({}, "", set())


def test_subtrees_add_up_and_an_unknown_cost_stays_unknown() -> None:
    said = {
        "root": Said("", 0, None, 1),
        "free": Said("root", 0, Decimal(0), 10),
        "paid": Said("root", 0, Decimal("0.5"), 100),
        "deep": Said("paid", 0, Decimal("0.25"), 1000),
        "unknown": Said("root", 0, None, 0),
    }
    for made in orders(said):
        places = made.places()
        assert {id_: place.cost for id_, place in places.items()} == {
            "root": Decimal("0.75"), "free": Decimal(0), "paid": Decimal("0.75"), "deep": Decimal("0.25"),
            "unknown": None,
        }  # fmt: skip
        assert (places["root"].tokens, places["paid"].tokens) == (1111, 1100)


def test_a_cost_that_is_no_longer_known_leaves_every_sum_above() -> None:
    made = Grown(root="", a="root").say("leaf", "a", 2, Decimal("0.5"), 7)
    assert [place.cost for place in made.places().values()] == [Decimal("0.5")] * 3
    made.say("leaf", "a", 2, None, 0)
    assert [(place.cost, place.tokens) for place in made.places().values()] == [(None, 0)] * 3


def test_a_subtree_takes_its_sums_with_it() -> None:
    made = Grown(root="", a="root", b="root", sub="a").say("leaf", "sub", 5, Decimal(2), 7)
    made.write()
    made.say("sub", "b", 3)
    assert made.write() == {"a", "b", "sub", "leaf"}  # the root's own row is what it was
    assert {id_: place.cost for id_, place in made.written.items()} == {
        "root": 2, "a": None, "b": 2, "sub": 2, "leaf": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrapper", "call", "repeats"),
    [
        (("", 0, None, 7, "m"), ("wrap", 0, None, 7, "m"), True),
        (("", 0, None, 7, ""), ("wrap", 0, None, 7, "m"), True),  # it names no model of its own
        (("", 0, None, 7, "m"), ("wrap", 0, None, 7, ""), False),  # another model is another call
        (("", 0, None, 7, "m"), ("wrap", 0, None, 7, "n"), False),
        (("", 0, None, 8, "m"), ("wrap", 0, None, 7, "m"), False),  # other usage
        (("", 0, None, 0, "m"), ("wrap", 0, None, 0, "m"), False),  # none at all
        (("", 0, None, 7, "m"), ("elsewhere", 0, None, 7, "m"), True),  # an orphan hangs under the root
        (("", 0, None, 7, "m"), ("", 1, None, 7, "m"), False),
    ],
)
def test_usage_that_a_direct_child_has_too_counts_once(
    wrapper: tuple[Any, ...], call: tuple[Any, ...], repeats: bool
) -> None:
    said = {"wrap": Said(*wrapper), "call": Said(*call), "other": Said("call", 1, None, 100)}
    for made in orders(said):
        places = made.places()
        assert (places["wrap"].repeats, places["call"].repeats) == (repeats, False)
        assert places == expected(said)


def test_repeats_come_and_go_with_usage_model_and_place() -> None:
    made = Grown().say("root").say("wrap", "root", 1, Decimal(1), 7, "m").say("call", "wrap", 2, Decimal(1), 7, "m")
    steps: list[tuple[str, tuple[Any, ...], bool, Decimal]] = [
        ("root", ("", 0), True, Decimal(1)),
        ("call", ("wrap", 2, Decimal(1), 8, "m"), False, Decimal(2)),
        ("call", ("wrap", 2, Decimal(1), 7, "n"), False, Decimal(2)),
        ("wrap", ("root", 1, Decimal(1), 7, ""), True, Decimal(1)),
        ("call", ("root", 2, Decimal(1), 7, "n"), False, Decimal(2)),
        ("call", ("wrap", 2, Decimal(1), 7, "n"), True, Decimal(1)),
    ]
    for id_, said, repeats, cost in steps:
        made.say(id_, *said)
        made.write()
        assert (made.written["wrap"].repeats, made.written["root"].cost) == (repeats, cost)
        assert made.written == expected(made.said)
    made.drop("call").write()
    assert (made.written["wrap"].repeats, made.written["root"].cost) == (False, Decimal(1))


def test_one_that_loses_its_usage_and_its_only_child_at_once_repeats_nobody() -> None:
    made = Grown().say("d", "elsewhere", 0, None, 7, "").say("a", "d", 0, None, 7, "")
    made.write()
    assert made.written["d"].repeats
    made.say("d", "a", 0, None, 0, "")  # the circle is cut at "a", which hung under it
    made.write()
    assert (made.written["d"].repeats, made.written) == (False, expected(made.said))


def test_what_the_totals_have_to_count_anew_is_noted() -> None:
    made = Grown().say("wrap", "", 1, None, 7, "m").say("call", "wrap", 2, None, 8, "m")
    made.write()
    made.say("call", "wrap", 2, None, 7, "m")
    made.tree.resolve()
    assert {node.id for node in made.tree.recount} == {"wrap", "call"}


def test_a_quiet_tree_notes_nothing() -> None:
    made = Grown(root="", a="root", lost="elsewhere").say("b", "a", 3, Decimal(1), 1)
    assert made.write() == {"root", "a", "lost", "b"}
    made.say("b", *made.said["b"])
    assert made.write() == set()
