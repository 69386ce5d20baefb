"""`trace_tree`: every observation once, in the order of the tree, whatever the tree looks like."""

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated

WIDE = 100_000
DEEP = 5_000
CUT = "cycle_cut"


class Link(NamedTuple):
    """What the order of a tree depends on; `start` in microseconds after NOW."""

    id: str
    parent: str = ""
    start: int = 0
    flag: str = ""
    version: int = 2
    deleted: int = 0


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouseProcess) -> Iterator[Client]:
    """One database for the module, nothing merges; each test has its own traces."""
    with migrated(clickhouse.url, "tree") as client:
        client.command("SYSTEM STOP MERGES observations_rows")
        yield client
        client.command("DROP DATABASE tree SYNC")


def test_the_order_is_depth_first_and_siblings_stand_by_start_then_id(store: Client) -> None:
    _insert(
        store,
        "siblings",
        Link("root", start=5),
        Link("late", "root", 30),
        Link("b", "root", 10),
        Link("a", "root", 10),
        Link("below-late", "late", 1),
        Link("below-a", "a", 40),
    )
    assert _tree(store, "siblings") == ["root", "a", "below-a", "b", "late", "below-late"]


def test_several_roots_stand_beside_each_other_by_start(store: Client) -> None:
    _insert(store, "roots", Link("second", start=2), Link("first", start=1), Link("x", "second"), Link("y", "first"))
    assert _tree(store, "roots") == ["first", "y", "second", "x"]


def test_an_orphan_stands_under_the_first_root_with_what_is_below_it(store: Client) -> None:
    _insert(
        store,
        "orphan",
        Link("root", start=1),
        Link("other-root", start=2),
        Link("child", "root", 20),
        Link("orphan", "never-came", 10),
        Link("below", "orphan", 30),
    )
    assert _tree(store, "orphan") == ["root", "orphan", "below", "child", "other-root"]


def test_without_a_root_orphans_stand_at_the_top(store: Client) -> None:
    _insert(store, "rootless", Link("b", "gone", 1), Link("a", "lost", 2), Link("below-b", "b", 9))
    assert _tree(store, "rootless") == ["b", "below-b", "a"]


def test_a_circle_hangs_under_the_root_by_the_one_where_it_is_cut(store: Client) -> None:
    _insert(
        store,
        "circle",
        Link("root"),
        Link("c1", "c3", 3, CUT),
        Link("c2", "c1", 2),
        Link("c3", "c2", 1),
        Link("own", "own", 9, CUT),
        Link("tail", "c2", 8),
    )
    assert _tree(store, "circle") == ["root", "c1", "c2", "c3", "tail", "own"]


def test_a_circle_without_a_root_starts_at_the_cut(store: Client) -> None:
    _insert(store, "ring", Link("a", "b", 7, CUT), Link("b", "a", 3))
    assert _tree(store, "ring") == ["a", "b"]


def test_a_circle_that_no_row_cuts_yet_comes_last_and_loses_nothing(store: Client) -> None:
    _insert(store, "uncut", Link("x", "y"), Link("y", "x"), Link("root", start=5), Link("child", "root"))
    assert _tree(store, "uncut")[:2] == ["root", "child"]
    assert sorted(_tree(store, "uncut")[2:]) == ["x", "y"]


def test_the_newest_versions_make_the_tree_before_any_merge(store: Client) -> None:
    _insert(store, "moved", Link("root"), Link("a", "root", 1), Link("b", "root", 2), Link("gone", "root", 3))
    _insert(store, "moved", Link("a", "b", 1, version=4), Link("gone", version=4, deleted=1))
    _insert(store, "moved", Link("b", "a", 2, version=1))
    assert _tree(store, "moved") == ["root", "b", "a"]


def test_projects_with_equal_ids_do_not_mix(store: Client) -> None:
    _insert(store, "shared", Link("root"), Link("a", "root", 1), Link("b", "root", 2))
    _insert(store, "shared", Link("a"), Link("b", "a"), Link("root", "b"), project="other")
    assert _tree(store, "shared") == ["root", "a", "b"]
    assert _tree(store, "shared", "other") == ["a", "b", "root"]


@pytest.mark.parametrize("id_", ["it's", "a\\b", "{trace:String}", "ü" * 400, "\t\n", "'; DROP TABLE x --"])
def test_any_id_can_be_asked_for(store: Client, id_: str) -> None:
    _insert(store, id_, Link(f"{id_}2", id_), Link(id_))
    assert _tree(store, id_) == [id_, f"{id_}2"]


def test_one_observation_and_none(store: Client) -> None:
    _insert(store, "single", Link("only"))
    assert _tree(store, "single") == ["only"]
    assert _tree(store, "nothing") == []


def test_the_settings_of_a_session_do_not_change_the_order(store: Client) -> None:
    _insert(store, "settings", Link("root"), Link("b", "root", 2), Link("a", "root", 1), Link("c", "gone", 3))
    against = {"join_use_nulls": 1, "enable_lazy_columns_replication": 0, "max_threads": 1, "max_block_size": 1}
    assert _tree(store, "settings", settings=against) == ["root", "a", "b", "c"]


def test_all_columns_of_an_observation_come_with_it(store: Client) -> None:
    tree = store.query("SELECT * FROM trace_tree(project = 'p', trace = 'siblings')").column_names
    assert list(tree) == ["position", *store.query("SELECT * FROM observations LIMIT 0").column_names]


@pytest.mark.parametrize("seed", range(20))
def test_random_trees_are_in_the_order_that_a_plain_walk_gives(store: Client, seed: int) -> None:
    links = _random_links(random.Random(seed))
    trace = f"random-{seed}"
    _insert(store, trace, *links)
    assert _tree(store, trace) == _walk(links)


@pytest.mark.parametrize(
    ("shape", "count", "parent"),
    [
        ("fan", WIDE, "0"),
        ("chain", DEEP, "number - 1"),
        ("chain_with_leaves", WIDE, f"if(number < {DEEP}, number - 1, number % {DEEP})"),
    ],
)
def test_giant_traces_are_in_order_and_answered_from_the_index(
    store: Client, shape: str, count: int, parent: str
) -> None:
    store.command(
        "INSERT INTO observations_rows"
        " (project_id, trace_id, observation_id, parent_observation_id, start_time, row_version)"
        f" SELECT 'p', '{shape}', toString(number), if(number = 0, '', toString({parent})),"
        f" fromUnixTimestamp64Micro({NOW} + number), 2 FROM numbers({count})"
    )
    rows = store.query(f"SELECT observation_id, parent_observation_id FROM observations WHERE trace_id = '{shape}'")
    took = []
    for _ in range(3):
        start = time.monotonic()
        tree = _tree(store, shape, settings={"enable_lazy_columns_replication": 0})  # the view brings its own
        took.append(time.monotonic() - start)
    assert tree == _walk([Link(id_, up, int(id_)) for id_, up in rows.result_rows])
    assert min(took) < 20.0  # 0.1 to 0.4 s on a quiet machine; walking the chain by joins takes minutes


def _insert(store: Client, trace: str, *links: Link, project: str = "p") -> None:
    columns = ["project_id", "trace_id", "observation_id", "parent_observation_id", "start_time", "flags"]
    rows = [
        [project, trace, one.id, one.parent, NOW + one.start, [one.flag] if one.flag else [], one.version, one.deleted]
        for one in links
    ]
    store.insert("observations_rows", rows, [*columns, "row_version", "is_deleted"])


def _tree(store: Client, trace: str, project: str = "p", settings: dict[str, int] | None = None) -> list[str]:
    rows = store.query(
        "SELECT position, observation_id FROM trace_tree(project = {project:String}, trace = {trace:String})",
        parameters={"project": project, "trace": trace},
        settings=settings,
    ).result_rows
    assert [position for position, _ in rows] == list(range(1, len(rows) + 1))
    return [id_ for _, id_ in rows]


def _walk(links: list[Link]) -> list[str]:
    """The order, by a plain depth-first walk over parent links."""
    known = {one.id for one in links}
    ordered = sorted(links, key=lambda one: (one.start, one.id))
    root = next((one.id for one in ordered if not one.parent), "")
    children: dict[str, list[str]] = {}
    for one in ordered:
        lost = one.parent and (one.parent not in known or one.flag == CUT)
        children.setdefault(root if lost else one.parent, []).append(one.id)
    order: list[str] = []
    stack = children.get("", [])[::-1]
    while stack:
        id_ = stack.pop()
        order.append(id_)
        stack.extend(reversed(children.get(id_, [])))
    return order


def _random_links(chance: random.Random) -> list[Link]:
    """Up to 60 observations in any order: several roots or none, orphans, equal starts, circles, each cut once."""
    ids = [f"{chance.randrange(10**6)}-{number}" for number in range(chance.randrange(2, 60))]
    other = chance.choice([["", "gone"], ["gone"], ["", "", "", "gone", "lost"]])
    links = [
        Link(id_, chance.choice(other) if chance.random() < 0.2 else chance.choice(ids), chance.randrange(20))
        for id_ in ids
    ]
    parents = {one.id: one.parent for one in links}
    return [one._replace(flag=CUT) if one.id == min(_circle(one.id, parents), default="") else one for one in links]


def _circle(id_: str, parents: dict[str, str]) -> list[str]:
    """The ids of the circle of parents that `id_` is on, [] where it is on none."""
    circle = [id_]
    while (above := parents.get(circle[-1], "")) not in ("", *circle):
        circle.append(above)
    return circle if above == id_ else []
