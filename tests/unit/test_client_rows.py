"""The comparison of clients' rows: it must find what differs, or agreement would mean nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.client_environments import MissingToolError, tool
from tests.fixtures.client_rows import differences
from tests.fixtures.one_trace import EXPECTED, Row
from tests.fixtures.origin import origin_table
from tests.fixtures.real_clients import CLIENTS

PAGE = Path(__file__).parents[2] / "docs" / "ingest.md"
OTHERS = {
    "traces": {"project_id": "p", "settled": True, "first_seen": 1, "updated_at": 2, "row_version": 9},
    "observations": {"project_id": "p", "usage_provided": {"n": 1}, "usage_rule": "r", "row_version": 8},
    "scores": {"project_id": "p", "row_version": 8},
}


def rows() -> dict[str, list[Row]]:
    """What a client's rows are when all is right, with columns that say where they came from."""
    return {view: [{**row, **OTHERS[view]} for row in expected.values()] for view, expected in EXPECTED.items()}


def row_of(found: dict[str, list[Row]], view: str, name: str) -> Row:
    return next(row for row in found[view] if row["name"] == name)


def test_rows_that_differ_only_in_where_they_came_from_are_the_same() -> None:
    found = rows()
    for row in found["observations"]:
        row["metadata"] = {**row["metadata"], "scope": '{"name":"x"}', "resourceAttributes": "{}"}
    assert differences(found, "kafka-avro", told_the_time=True) == []


@pytest.mark.parametrize(
    ("view", "name", "column", "value"),
    [
        ("traces", "support-question", "user_id", "user-43"),
        ("traces", "support-question", "metadata", {"tenant": "acme"}),
        ("observations", "write answer", "usage", {"input": 1200, "output": 80, "total": 1280}),
        ("observations", "write answer", "tool_calls", []),
        ("observations", "rerank", "parent_observation_id", "retrieve"),
        ("observations", "rerank", "a new column", ""),
        ("scores", "tone", "string_value", "rude"),
    ],
)
def test_any_other_difference_is_told(view: str, name: str, column: str, value: Any) -> None:
    found = rows()
    row_of(found, view, name)[column] = value
    (told,) = differences(found, "kafka-avro", told_the_time=False)
    assert told.startswith(f"{view} {name} {column}: ")


def test_a_missing_row_and_a_missing_column_are_told() -> None:
    found = rows()
    found["scores"].pop()
    del row_of(found, "observations", "retrieve")["depth"]
    assert len(differences(found, "kafka-avro", told_the_time=True)) == 2


def test_times_count_where_the_program_tells_them_and_must_be_possible_everywhere() -> None:
    found = rows()
    row = row_of(found, "observations", "write answer")
    row["end_time"] += timedelta(microseconds=1)
    assert differences(found, "langfuse-5.0.4", told_the_time=False) == []
    assert len(differences(found, "kafka-avro", told_the_time=True)) == 1
    row["completion_start_time"] = row["start_time"] - timedelta(seconds=1)
    (told,) = differences(found, "langfuse-5.0.4", told_the_time=False)
    assert "go backwards" in told
    row["completion_start_time"] = None
    assert len(differences(found, "langfuse-5.0.4", told_the_time=False)) == 1, "whether there is a time always counts"


def test_what_a_client_cannot_say_is_forgiven_to_this_client_only() -> None:
    found = rows()
    row_of(found, "observations", "write answer")["model_parameters"] = '{"temperature":"0.25","max_tokens":256}'
    assert differences(found, "langfuse-2.60.10", told_the_time=True) == []
    assert len(differences(found, "langfuse-5.0.4", told_the_time=False)) == 1


def test_the_page_shows_the_columns_that_may_differ_and_names_every_client() -> None:
    page = PAGE.read_text()
    assert origin_table() in page
    assert [client.name for client in CLIENTS if f"`{client.name}`" not in page] == []


def test_a_tool_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"need `go`, which is not on the PATH\. Install Go 1\.26"):
        tool("go")
