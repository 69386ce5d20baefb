"""The oracle against answers worked out by hand: what all other tests lean on must itself be right."""

from decimal import Decimal
from typing import Any

from pipeline.cost.price import ObservationPricer
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Kind, Micros
from tests.oracle.fold import Known, Views, views
from tests.oracle.merge import merged, merged_metadata

PRICE = ObservationPricer()


def _event(kind: str, entity: str, id_: str, at: int, **fields: Any) -> Known:
    event = Event("p", "t", Kind(kind), entity, id_, Micros(at), fields)  # type: ignore[arg-type]
    return Known(event, event_identity(id_, repr(event).encode()))


def _span(id_: str, parent: str = "", at: int = 1, **fields: Any) -> Known:
    return _event("observation", id_, f"e-{id_}-{at}", at, start_time=at, parent_observation_id=parent, **fields)


def _views(*known: Known) -> Views:
    return views(known, PRICE)


def _observations(*known: Known) -> dict[str, dict[str, Any]]:
    return {key[2]: row for key, row in _views(*known)["observations"].items()}


def test_the_last_word_counts_whatever_the_order_and_a_tie_goes_to_the_larger_id() -> None:
    early = _event("observation", "o", "e9", 1, name="early", output="kept")
    late = [_event("observation", "o", id_, 2, name=id_) for id_ in ("e1", "e2")]
    [row] = _observations(late[1], early, late[0], early).values()
    assert (row["name"], row["output"]) == ("e2", "kept")


def test_one_id_with_two_contents_is_two_events_and_is_flagged() -> None:
    known = _views(_span("o", name="a"), _span("o", output="b"))
    assert known["traces"]["p", "t"]["flags"] == ["conflicting_events"]
    assert known["observations"]["p", "t", "o"]["name"] == "a"
    assert known["observations"]["p", "t", "o"]["output"] == "b"


def test_what_was_given_beats_what_was_made_up_however_old() -> None:
    [row] = _observations(
        _event("observation", "o", "create", 1, type="GENERATION", start_time=7),
        _event("observation", "o", "update", 2, type_provisional="SPAN"),
    ).values()
    assert (row["type"], row["start_time"], row["flags"]) == ("GENERATION", 7, [])
    [row] = _observations(_event("observation", "o", "update", 5, type_provisional="EVENT")).values()
    assert (row["type"], row["start_time"], row["flags"]) == ("EVENT", 5, ["provisional_start"])


def test_metadata_merges_leaf_by_leaf_and_a_path_overrides_those_above_and_below() -> None:
    assert merged_metadata([{"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "z": None}}]) == {"a": {"x": 2, "y": 1}}
    assert merged_metadata([{"a": {"x": 1}}, {"a": 5}]) == {"a": 5}
    assert merged_metadata([{"a": 5}, {"a": {"x": 1}}]) == {"a": {"x": 1}}
    assert merged_metadata([{"a": {"x": 1}}, {"a": {}}]) == {"a": {"x": 1}}
    assert merged_metadata([{"a": 5}, {"a": {}, "b": {}}]) == {"a": 5, "b": {}}
    assert merged_metadata([{"a": [1]}, {"a": [None]}]) == {"a": [None]}


def test_tags_add_up_and_usage_is_replaced_as_a_whole() -> None:
    both = merged([{"tags": ["b", "a"], "usage": {"input": 1}}, {"tags": ["c", "a"], "usage": {"output": 2}}])
    assert (both["tags"], both["usage"]) == (["a", "b", "c"], {"output": 2})


def test_children_hang_under_their_parents_and_orphans_and_cut_circles_under_the_root() -> None:
    rows = _observations(
        _span("root"), _span("child", "root"), _span("leaf", "child"), _span("lost", "nowhere"),
        _span("c1", "c3"), _span("c2", "c1"), _span("c3", "c2"), _span("self", "self"),
    )  # fmt: skip
    assert rows["leaf"]["path"] == ["root", "child", "leaf"]
    assert (rows["lost"]["depth"], rows["lost"]["orphan"], rows["lost"]["flags"]) == (1, True, ["orphan"])
    assert (rows["c1"]["path"], rows["c1"]["flags"]) == (["root", "c1"], ["cycle_cut"])
    assert (rows["c3"]["path"], rows["c3"]["flags"]) == (["root", "c1", "c2", "c3"], [])
    assert (rows["self"]["depth"], rows["self"]["flags"]) == (1, ["cycle_cut"])
    assert rows["root"]["child_count"] == 4


def test_users_on_the_root_alone_are_on_every_row() -> None:
    known = _views(_span("root", user_id="u", tags=["x"]), _span("child", "root", at=9, tags=["y"]))
    assert {row["user_id"] for view in ("traces", "observations") for row in known[view].values()} == {"u"}
    assert known["observations"]["p", "t", "child"]["tags"] == ["x", "y"]


def test_of_wrappers_that_repeat_their_childs_usage_the_innermost_counts() -> None:
    said: dict[str, Any] = {"model": "gpt-4o", "usage": {"input": 10, "output": 5}, "cost": {"total": Decimal(1)}}
    known = _views(_span("a", **said), _span("b", "a", **said), _span("c", "b", **said), _span("d", "a", **said))
    rows = {key[2]: row for key, row in known["observations"].items()}
    assert [id_ for id_, row in rows.items() if row["flags"] == ["duplicate_usage"]] == ["a", "b"]
    assert [row["subtree_tokens"] for row in rows.values()] == [30, 15, 15, 15]
    assert [row["subtree_cost"] for row in rows.values()] == [2, 1, 1, 1]
    assert [row["total_cost"] for row in rows.values()] == [1, 1, 1, 1]
    trace = known["traces"]["p", "t"]
    assert (trace["total_tokens"], trace["total_cost"]) == (30, 2)


def test_a_parent_with_other_usage_or_another_model_is_no_wrapper() -> None:
    child = _span("child", "root", model="gpt-4o", usage={"input": 10})
    for root, tokens in (
        (_span("root", model="gpt-4", usage={"input": 10}), 20),
        (_span("root", model="gpt-4o", usage={"input": 11}), 21),
        (_span("root", usage={"input": 10}), 10),  # names no model: it repeats
    ):
        assert _views(root, child)["traces"]["p", "t"]["total_tokens"] == tokens


def test_a_deleted_trace_hides_what_is_not_newer() -> None:
    gone = _event("trace", "t", "gone", 5, deleted=True)
    known = _views(_span("old", at=5), _span("new", at=6), _event("score", "s", "s", 5, value=1.0), gone)
    assert [key[2] for key in known["observations"]] == ["new"]
    assert known["scores"] == {}
    assert known["traces"]["p", "t"]["observation_count"] == 1
    assert _views(_span("old", at=5), gone) == {"traces": {}, "observations": {}, "scores": {}}


def test_a_deleted_score_hides_that_score_until_it_is_scored_again() -> None:
    scores = [_event("score", id_, f"{id_}1", 1, value=1.0) for id_ in ("s", "other")]
    gone = _event("score", "s", "s2", 2, deleted=True)
    assert [key[2] for key in _views(*scores, gone)["scores"]] == ["other"]
    again = _views(*scores, gone, _event("score", "s", "s3", 3, string_value="x"))["scores"]["p", "t", "s"]
    assert (again["value"], again["string_value"]) == (None, "x")
