"""docs/mapping.md says what the tables say, and `spanfold explain` what they did."""

import gzip
import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SpanfoldError
from pipeline.events.mapping.page import mapping_page
from tests.fixtures.otlp import TRACE_ID, json_export, protobuf_export, recorded, sdk_trace, span_id

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_made_from_the_tables_of_today() -> None:
    made = "python -m pipeline.events.mapping.page > docs/mapping.md"
    assert (DOCS / "mapping.md").read_text() == mapping_page(), f"make it again: {made}"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("write", [protobuf_export, json_export])
def test_explain_names_the_rule_of_each_field_in_every_encoding(tmp_path: Path, write, pack) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "export"
    file.write_bytes(pack(write(sdk_trace())))
    answer = CliRunner().invoke(app, ["explain", str(file), "--json"])
    assert answer.exit_code == 0
    spans = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [span["span_id"] for span in spans] == [span_id(number) for number in (1, 2, 3, 4, 0)]
    chat = spans[1]
    assert chat["trace_id"] == TRACE_ID
    assert chat["fields"]["model"] == {"value": "gpt-4o-2024-08-06", "rules": ["gen_ai: gen_ai.response.model"]}
    assert chat["fields"]["usage"]["rules"] == ["gen_ai: gen_ai.usage.*"]
    assert chat["fields"]["environment"]["rules"] == ["otel: resource:deployment.environment.name"]
    assert spans[0]["unused"] == {"http.request.method": "GET"}


def test_explain_shows_people_a_table(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["explain", str(recorded("langfuse-python-5.0.4", "018").path)])
    assert answer.exit_code == 0
    assert "linked" in answer.stdout
    assert "movie-critic" in answer.stdout


@pytest.mark.parametrize("content", [b"\xff\xff", b"{", b"\x1f\x8bno gzip", orjson.dumps({"resourceSpans": 5})])
def test_explain_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "export"
    file.write_bytes(content)
    for name in (file, tmp_path / "missing"):
        answer = CliRunner().invoke(app, ["explain", str(name)])
        assert isinstance(answer.exception, SpanfoldError)
