"""Last writer wins per field, by (event time, event id, identity), and memory that follows what the fields say."""

from typing import Any

import pytest

from pipeline.events.model import Fields, Micros
from pipeline.fold.layers import COMPACT_ABOVE, Layers, Stamp


def stamp(at: int, event_id: str = "", identity: bytes = b"") -> Stamp:
    return Micros(at), event_id, identity


def layers(*opinions: tuple[Stamp, Fields]) -> Layers:
    made = Layers()
    for when, fields in opinions:
        made.add(when, fields)
    return made


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (stamp(2), stamp(1)),
        (stamp(1, "b"), stamp(1, "a")),
        (stamp(1, "b"), stamp(1, "aa")),  # ids are compared as text
        (stamp(1, "a", b"2"), stamp(1, "a", b"1")),
    ],
)
def test_the_later_stamp_wins_whichever_came_first(winner: Stamp, loser: Stamp) -> None:
    new: Fields = {"name": "new"}
    old: Fields = {"name": "old", "model": "m"}
    for made in (layers((winner, new), (loser, old)), layers((loser, old), (winner, new))):
        assert made.merged() == {"name": "new", "model": "m"}


def test_an_empty_string_is_an_opinion_and_a_missing_field_is_none() -> None:
    made = layers((stamp(1), {"name": "a", "output": "x"}), (stamp(2), {"name": ""}))
    assert made.merged() == {"name": "", "output": "x"}


def test_tags_are_united_and_metadata_is_merged_leaf_by_leaf() -> None:
    made = layers(
        (stamp(1), {"tags": ["a", "b"], "metadata": {"k": {"x": 1}}}),
        (stamp(2), {"tags": [], "metadata": {}}),
        (stamp(3), {"tags": ["b", "c"], "metadata": {"k": {"y": 2}}}),
    )
    merged = made.merged()
    assert set(merged["tags"]) == {"a", "b", "c"}
    assert merged["metadata"] == {"k": {"x": 1, "y": 2}}


def test_usage_and_cost_are_replaced_as_a_whole() -> None:
    made = layers((stamp(1), {"usage": {"input": 1, "output": 2}}), (stamp(2), {"usage": {"input": 3}}))
    assert made.merged() == {"usage": {"input": 3}}


def test_nothing_is_merged_from_nothing() -> None:
    assert (Layers().merged(), Layers().latest()) == ({}, 0)


def test_an_event_keeps_its_own_fields() -> None:
    given: Fields = {"metadata": {"a": None, "b": {"c": 1}}, "tags": ["x"]}
    made = layers((stamp(1), given), (stamp(2), {"metadata": {"b": {"d": 2}}, "tags": ["y"]}))
    assert made.merged()["metadata"] == {"b": {"c": 1, "d": 2}}
    assert given == {"metadata": {"a": None, "b": {"c": 1}}, "tags": ["x"]}


def test_the_newest_opinion_tells_the_time_even_when_it_says_nothing() -> None:
    made = layers(*((stamp(at), {"name": str(at)}) for at in range(COMPACT_ABOVE)), (stamp(99), {}))
    made.add(stamp(50), {"name": "late"})
    assert (made.latest(), made.merged()["name"]) == (99, "late")


def held(opinions: list[Fields]) -> int:
    return len(layers(*((stamp(at), fields) for at, fields in enumerate(opinions)))._layers)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "same"},
        {"tags": ["same"]},
        {"metadata": {"a": {"b": 1}}},
        {"metadata": {"a": None}},
        {"metadata": {"a": {}}},
        {},
    ],
)
def test_memory_follows_the_fields_and_not_the_events(fields: Any) -> None:
    assert held([fields] * 1000) <= COMPACT_ABOVE


def test_an_old_field_stays_as_long_as_nothing_hides_it() -> None:
    made = layers((stamp(0), {"model": "m"}), *((stamp(at), {"name": str(at)}) for at in range(1, 100)))
    assert made.merged() == {"model": "m", "name": "99"}


def test_compaction_runs_seldom_where_there_is_nothing_to_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run costs all layers: 1000 new keys must not cost 1000 runs."""
    runs = []
    compact = Layers._compact
    monkeypatch.setattr(Layers, "_compact", lambda self: (runs.append(1), compact(self)))
    assert held([{"metadata": {f"key-{number}": 1}} for number in range(1000)]) == 1000
    assert len(runs) <= 8


def test_what_is_hidden_is_forgotten_and_what_is_newer_stays() -> None:
    made = layers((stamp(3), {"name": "b"}), (stamp(1), {"name": "a", "model": "m"}), (stamp(2), {"output": "x"}))
    assert made.first_at == 1
    made.hide(Micros(2))
    assert (made.merged(), made.first_at, made.latest(), bool(made)) == ({"name": "b"}, 3, 3, True)
    made.hide(Micros(3))
    assert (made.merged(), made.first_at, made.latest(), bool(made)) == ({}, 0, 0, False)
    made.add(stamp(4), {"name": "c"})
    assert (made.merged(), made.first_at) == ({"name": "c"}, 4)


def test_the_time_of_an_opinion_that_compaction_dropped_still_counts() -> None:
    made = layers(*((stamp(at), {"name": str(at)}) for at in range(1, 3 * COMPACT_ABOVE)))
    assert made.first_at == 1
    made.hide(Micros(4))
    assert made.first_at == 5
