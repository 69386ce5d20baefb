"""Whose word on a trace's attributes counts: the trace's own, else the root's, else the newest of any observation."""

from typing import Any

import pytest

from pipeline.events.model import Fields
from pipeline.fold.attributes import LEAST_ROOM, MOST_COPIED, NO_ATTRIBUTES, Attributes, attributes_of

Json = dict[str, Any]


def given(own: Json, root: Json, carried: Json) -> Json:
    return attributes_of(Fields(**own), Fields(**root), Fields(**carried))._asdict()  # type: ignore[typeddict-item]


def test_nobody_says_anything() -> None:
    assert attributes_of(Fields(), Fields(), Fields()) == NO_ATTRIBUTES


@pytest.mark.parametrize("name", ["user_id", "session_id", "release"])
@pytest.mark.parametrize(
    ("own", "root", "carried", "wins"),
    [("o", "r", "c", "o"), ("", "r", "c", "r"), (None, "r", "c", "r"), (None, "", "c", "c"), (None, None, "c", "c")],
)
def test_an_empty_word_is_none(name: str, own: str | None, root: str | None, carried: str, wins: str) -> None:
    said = [{} if value is None else {name: value} for value in (own, root, carried)]
    assert given(*said)[name] == wins


@pytest.mark.parametrize(
    ("own", "root", "carried", "name"),
    [
        ({"name": "o"}, {"trace_name": "r", "name": "span"}, {"trace_name": "c"}, "o"),
        ({}, {"trace_name": "r", "name": "span"}, {"trace_name": "c"}, "r"),
        ({}, {"name": "span"}, {"trace_name": "c"}, "c"),  # a name for the trace beats the name of its root
        ({}, {"name": "span"}, {}, "span"),
        ({"name": ""}, {"trace_name": ""}, {}, ""),
    ],
)
def test_the_name_of_a_trace(own: Json, root: Json, carried: Json, name: str) -> None:
    assert given(own, root, carried)["name"] == name


@pytest.mark.parametrize(
    ("own", "root", "carried", "public"),
    [({"public": False}, {"public": True}, {}, False), ({}, {"public": False}, {"public": True}, False),
     ({}, {}, {"public": True}, True)],
)  # fmt: skip
def test_false_is_a_word(own: Json, root: Json, carried: Json, public: bool) -> None:
    assert given(own, root, carried)["public"] is public


def test_tags_are_united_sorted_and_each_there_once() -> None:
    said = given({"tags": ["c", "a", "c"]}, {"tags": ["b"]}, {"tags": ["b", "a"]})
    assert said["tags"] == ("a", "b", "c")


def test_version_and_environment_are_the_traces_or_the_roots_alone() -> None:
    other = {"version": "c", "environment": "c"}
    assert (given({}, {}, other)["version"], given({}, {}, other)["environment"]) == ("", "default")
    root = {"version": "r", "environment": "r"}
    assert (given({}, root, other)["version"], given({"environment": "o"}, root, other)["environment"]) == ("r", "o")


HUGE = Fields(
    user_id="u" * 1_000_000, session_id="s", tags=["x" * 500_000, *(f"t{number}" for number in range(50_000))]
)


def copied(of: Attributes) -> int:
    return sum(len(text) for text in of if isinstance(text, str)) + sum(map(len, of.tags))


@pytest.mark.parametrize("observations", [0, 1, 20])
def test_what_stands_on_few_rows_may_be_long(observations: int) -> None:
    attributes = attributes_of(HUGE, Fields(), Fields(), observations)
    assert (attributes.cut, len(attributes.user_id), len(attributes.tags)) == (False, 1_000_000, 50_001)


@pytest.mark.parametrize("observations", [200, 2_000, 100_000])
def test_what_stands_on_many_rows_is_cut_to_its_room(observations: int) -> None:
    attributes = attributes_of(HUGE, Fields(), Fields(), observations)
    assert attributes.cut
    assert attributes.session_id == "s"
    assert attributes.user_id == HUGE["user_id"][: len(attributes.user_id)]
    assert attributes.tags[:2] == ("t0", "t1")
    assert LEAST_ROOM / 10 < copied(attributes) <= max(MOST_COPIED / observations, LEAST_ROOM)
