"""Books change while a worker folds: no row mixes two, re-pricing beside it loses nothing, texts are counted."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.ops.reprice.pieces import Scope
from pipeline.ops.reprice.run import reprice
from tests.fixtures.captures import PROJECT, Outgoing, langfuse_record, produce
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
SCOPE = Scope(AT - timedelta(days=1), AT + timedelta(days=1))
PRICES = """
prices:
  - {id: contract, match: 'my-model', per_million: {input: 2, output: 8}}
"""
CHEAPER = PRICES.replace("2, output: 8", "1, output: 4")
DEAR, CHEAP = Decimal("0.0001"), Decimal("0.00005")  # 10 in, 10 out


def calls(first: int, last: int, **body: object) -> Iterator[Outgoing]:
    """One trace for each number: a span over a call of `my-model`."""
    usage = {"usageDetails": {"input": 10, "output": 10}} if not body else {}
    for number in range(first, last):
        more = {**usage, **body}
        times = {"startTime": AT.isoformat(), "endTime": (AT + timedelta(seconds=1)).isoformat()}
        for name, kind, own in (
            ("root", "span-create", {}),
            ("call", "generation-create", {"parentObservationId": f"{number}-root", "model": "my-model", **more}),
        ):
            whole = {"id": f"{number}-{name}", "traceId": f"t{number}", "name": name, **times, **own}
            yield langfuse_record({"id": f"e{number}-{name}", "type": kind, "timestamp": AT.isoformat(), "body": whole})


def publish(stack: Stack, directory: Path, text: str) -> None:
    """By the command that people use."""
    path = directory / "prices.yaml"
    path.write_text(text)
    _run(stack, "prices", "publish", str(path))


def _run(stack: Stack, *arguments: str) -> str:
    settings = stack.settings
    environment = {
        "SPANFOLD_DATA_DIR": str(settings.data_dir),
        "SPANFOLD_CLICKHOUSE_URL": settings.clickhouse_url,
        "SPANFOLD_CLICKHOUSE_DATABASE": settings.clickhouse_database,
    }
    outcome = CliRunner().invoke(app, list(arguments), env=environment)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    return outcome.output


def test_books_change_in_the_middle_of_the_stream(stack: Stack, tmp_path: Path) -> None:
    publish(stack, tmp_path, PRICES)
    worker = stack.worker()
    produce(stack.settings, calls(0, 200))
    wait_until_stored(stack, 400)
    wait_until_settled(stack)  # what is still open when a book changes is written under the new one by the worker
    assert stack.client.query("SELECT DISTINCT total_cost FROM traces").result_rows == [(DEAR,)]

    publish(stack, tmp_path, CHEAPER)
    produce(stack.settings, calls(200, 400))
    worker.wait_for_log("event=prices_taken", "epoch=2")
    produce(stack.settings, calls(400, 600))
    report = reprice(stack.settings, SCOPE, wait=0)
    produce(stack.settings, calls(600, 700))
    wait_until_stored(stack, 1400)
    reprice(stack.settings, SCOPE, wait=0)

    assert report.overtaken == []
    mixed = """
        SELECT count() FROM observations_rows
        WHERE model != '' AND (intDiv(row_version, 1099511627776), cost) NOT IN
            ((1, map('input', 0.00002, 'output', 0.00008, 'total', 0.0001)),
             (2, map('input', 0.00001, 'output', 0.00004, 'total', 0.00005)))
    """
    assert stack.count(mixed) == 0
    for column, view in (("total_cost", "traces"), ("cost['total']", "traces"), ("subtree_cost", "observations")):
        assert stack.client.query(f"SELECT DISTINCT {column} FROM {view}").result_rows == [(CHEAP,)], column
    assert stack.count("SELECT count() FROM traces") == 700
    charged = stack.client.query("SELECT count(), sum(old_total_cost), sum(new_total_cost) FROM cost_history").first_row
    assert 200 <= charged[0] <= 400
    assert charged[1:] == (charged[0] * DEAR, charged[0] * CHEAP)

    explained = _run(stack, "explain-cost", PROJECT, "0-call")
    assert "10 x 1 / 1000000 = 0.000010000000" in explained
    assert "stored: 0.000050000000 by entry:contract: the same" in explained
    assert "0.000100000000 -> 0.000050000000" in explained


def test_calls_without_usage_are_counted_and_those_without_a_price_are_listed(stack: Stack) -> None:
    stack.worker()
    text = {"input": "Hello world", "output": "Hi!"}
    records = [
        *calls(0, 1, model="gpt-4o", **text),
        *calls(1, 2, model="nobody-knows-me", usageDetails={"input": 5}),
        *calls(2, 3, model="gpt-4o", level="ERROR", input="failed"),
    ]
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    columns = "usage_source, usage_rule, usage['total'], cost_source"
    rows = f"SELECT {columns} FROM observations WHERE name = 'call' ORDER BY trace_id"
    assert stack.client.query(rows).result_rows == [
        ("estimated", "tiktoken:o200k_base", 4, "computed"),
        ("provided", "disjoint", 5, "none"),
        ("none", "", 0, "none"),
    ]
    (line,) = json.loads(_run(stack, "unpriced", "--json"))
    assert (line["model"], line["calls"], line["tokens"]) == ("nobody-knows-me", 1, 5)
    assert "nobody-knows-me" in _run(stack, "unpriced")
    assert "no book knows the model" in _run(stack, "explain-cost", PROJECT, "1-call")
    assert "counted from the texts by tiktoken:o200k_base" in _run(stack, "explain-cost", PROJECT, "0-call")
    began = time.monotonic()
    output = _run(stack, "reprice", "--from", "2026-11-01", "--to", "2026-12-01", "--dry-run")
    assert "0 observations and 0 traces would be written" in output
    assert time.monotonic() - began < 15
