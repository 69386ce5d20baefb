"""Deep merge of metadata: what a leaf, a map, an empty map and a null do to each other."""

from copy import deepcopy
from typing import Any

import pytest

from pipeline.fold.metadata import laid, lay_over, lay_under, live_part, without_nulls

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("older", "newer", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),  # a list is a leaf
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),  # a map overrides a leaf above it
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),  # a leaf overrides a map below it
        ({"a": 5}, {"a": {}}, {"a": 5}),  # an empty map adds nothing
        ({}, {"a": {}}, {"a": {}}),
        ({"a": 1}, {"a": ""}, {"a": ""}),  # empty text, zero and false are opinions
        ({"a": 1}, {"a": 0}, {"a": 0}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": {"x": {"y": 1}}}, {"a": {"x": {"z": 2}}}, {"a": {"x": {"y": 1, "z": 2}}}),
    ],
)
def test_the_newer_document_lies_over_the_older_one(older: Json, newer: Json, merged: Json) -> None:
    over, under = deepcopy(older), deepcopy(newer)
    lay_over(over, newer)
    lay_under(under, older)
    assert (over, under) == (merged, merged)


@pytest.mark.parametrize(
    ("documents", "merged"),
    [
        ([], {}),
        ([{"a": {"x": 1}}, {"a": 5}, {"b": 1}], {"a": 5, "b": 1}),
        ([{"a": {"x": 1}}, {"a": 5}, {"a": {"y": 1}}], {"a": {"y": 1}}),
        ([{"a": {"x": 1}}, {"b": 1}, {"a": {"y": 2}}], {"a": {"x": 1, "y": 2}, "b": 1}),
        ([{"a": 5}, {"a": {}}, {"b": {}}], {"a": 5, "b": {}}),
    ],
)
def test_documents_are_laid_over_each_other_and_stay_what_they_were(documents: list[Json], merged: Json) -> None:
    given = deepcopy(documents)
    assert (laid(documents), documents) == (merged, given)


def test_a_merge_never_changes_what_was_merged_in() -> None:
    first, second = {"a": {"x": 1}}, {"a": {"y": 2}}
    target: Json = {}
    lay_over(target, first)
    lay_over(target, second)
    lay_under(target, {"a": {"z": 3}})
    assert (target, first, second) == ({"a": {"x": 1, "y": 2, "z": 3}}, {"a": {"x": 1}}, {"a": {"y": 2}})


@pytest.mark.parametrize(
    ("document", "clean"),
    [
        ({"a": None}, {}),
        ({"a": {"x": None, "y": 1}}, {"a": {"y": 1}}),
        ({"a": {"x": None}}, {"a": {}}),
        ({"a": [None]}, {"a": [None]}),
    ],
)
def test_null_is_no_opinion_but_inside_a_list(document: Json, clean: Json) -> None:
    assert without_nulls(document) == clean


def test_a_document_without_nulls_is_not_copied() -> None:
    document = {"a": {"x": 1}, "b": [None]}
    assert without_nulls(document) is document


@pytest.mark.parametrize(
    ("older", "newer", "live"),
    [
        ({"a": 1}, {"a": 2}, {}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 2}, {}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": 5}),  # invisible, and yet it hides what is older than itself
        ({"a": 5}, {"a": {}}, {"a": 5}),
        ({"a": {}}, {"a": {}}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1}),
    ],
)
def test_what_stays_alive_under_a_newer_document(older: Json, newer: Json, live: Json) -> None:
    assert live_part(older, newer) == live
