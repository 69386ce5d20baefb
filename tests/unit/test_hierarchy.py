"""The tree of a trace: any order of arrival, missing parents, circles, depth without end, sums."""

from decimal import Decimal
from itertools import permutations

from pipeline.events.model import Micros
from pipeline.fold.hierarchy import MAX_PATH, Node, Tree, build_tree


def tree(**parents: str) -> Tree:
    """One observation per keyword, its value the parent; they start in the order given."""
    return build_tree({id_: Node(parent, Micros(at), None, 0) for at, (id_, parent) in enumerate(parents.items())})


def test_depth_path_and_children_come_from_parent_links() -> None:
    places = tree(root="", a="root", b="root", leaf="a").places
    assert {id_: (p.depth, p.path, p.child_count) for id_, p in places.items()} == {
        "root": (0, ("root",), 2),
        "a": (1, ("root", "a"), 1),
        "b": (1, ("root", "b"), 0),
        "leaf": (2, ("root", "a", "leaf"), 0),
    }
    assert not any(place.orphan or place.cycle_cut for place in places.values())


def test_child_before_parent_builds_the_same_tree() -> None:
    nodes = {"root": "", "a": "root", "b": "a", "lost": "elsewhere", "x": "y", "y": "x"}
    made = [build_tree({id_: Node(nodes[id_], Micros(0), None, 0) for id_ in order}) for order in permutations(nodes)]
    assert all(each == made[0] for each in made)


def test_an_observation_whose_parent_is_missing_hangs_under_the_root() -> None:
    place = tree(root="", lost="elsewhere", under="lost").places["lost"]
    assert (place.path, place.orphan, place.child_count) == (("root", "lost"), True, 1)


def test_without_a_root_an_orphan_stands_at_the_top() -> None:
    made = tree(lost="elsewhere", under="lost")
    assert (made.root, made.root_count) == ("", 0)
    assert [made.places[id_].path for id_ in ("lost", "under")] == [("lost",), ("lost", "under")]


def test_a_circle_is_cut_at_its_smallest_id() -> None:
    places = tree(root="", c="b", b="a", a="c", under="b").places
    assert {id_ for id_, place in places.items() if place.cycle_cut} == {"a"}
    assert places["c"].path == ("root", "a", "b", "c")
    assert places["under"].path == ("root", "a", "b", "under")


def test_two_circles_are_both_cut_even_without_a_root() -> None:
    made = tree(a="b", b="a", c="d", d="c")
    assert {id_ for id_, place in made.places.items() if place.cycle_cut} == {"a", "c"}
    assert {id_ for id_, place in made.places.items() if place.depth == 0} == {"a", "c"}


def test_its_own_parent_is_a_circle_of_one() -> None:
    place = tree(root="", me="me").places["me"]
    assert (place.path, place.cycle_cut, place.orphan) == (("root", "me"), True, False)


def test_the_root_is_the_one_that_starts_first_then_the_smallest_id() -> None:
    times = {"late": 2, "b": 1, "a": 1}
    made = build_tree({id_: Node("", Micros(at), None, 0) for id_, at in times.items()})
    assert (made.root, made.root_count) == ("a", 3)
    assert [place.depth for place in made.places.values()] == [0, 0, 0]


def test_no_observations_make_an_empty_tree() -> None:
    assert build_tree({}) == Tree({}, "", 0)


def test_subtrees_add_up_and_an_unknown_cost_stays_unknown() -> None:
    made = build_tree(
        {
            "root": Node("", Micros(0), None, 1),
            "free": Node("root", Micros(0), Decimal(0), 10),
            "paid": Node("root", Micros(0), Decimal("0.5"), 100),
            "deep": Node("paid", Micros(0), Decimal("0.25"), 1000),
            "unknown": Node("root", Micros(0), None, 0),
        }
    ).places
    assert {id_: place.subtree_cost for id_, place in made.items()} == {
        "root": Decimal("0.75"), "free": Decimal(0), "paid": Decimal("0.75"), "deep": Decimal("0.25"), "unknown": None,
    }  # fmt: skip
    assert (made["root"].subtree_tokens, made["paid"].subtree_tokens) == (1111, 1100)


def test_a_very_deep_chain_is_placed_and_its_paths_stay_short() -> None:
    depth = 20_000
    nodes = {f"o{n}": Node(f"o{n - 1}" if n else "", Micros(n), None, 1) for n in range(depth)}
    places = build_tree(nodes).places
    last = places[f"o{depth - 1}"]
    assert (last.depth, places["o0"].subtree_tokens) == (depth - 1, depth)
    assert last.path == tuple(f"o{n}" for n in range(depth - MAX_PATH, depth))
    assert len(places[f"o{MAX_PATH - 1}"].path) == MAX_PATH == places[f"o{MAX_PATH - 1}"].depth + 1
