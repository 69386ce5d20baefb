"""Replays of what real workers wrote: the same rows from the archive, from the topic and from files, beside the stream.

SPANFOLD_REPLAY_TRACES says how many traces a worker folds beside replays; 1000 is the long form.
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.book import PriceBook
from pipeline.cost.document import parse_document
from pipeline.cost.price import ObservationPricer
from pipeline.registry import open_registry
from tests.fixtures.captures import Outgoing, langfuse_record, produce
from tests.fixtures.shown import shown
from tests.fixtures.views import digest, wait_until_settled, wait_until_stored
from tests.fixtures.whole_traffic import known, whole_traces
from tests.fixtures.worker import Stack, environment
from tests.oracle.fold import views
from tests.oracle.table import difference

pytestmark = pytest.mark.stack

TRACES = int(os.environ.get("SPANFOLD_REPLAY_TRACES", "18"))
QUICK: dict[str, Any] = {"settle_quiet": 0.2, "settle_idle": 0.5, "prices_refresh": 0.1}
TAKEN = ("--wait", "1.5")  # a look for prices, a flush, and room
FROM = ("--from", "2000-01-01")
ROWS = ("traces_rows", "observations_rows", "scores_rows")


def spanfold(stack: Stack, *arguments: str) -> str:
    """What `spanfold replay` prints."""
    result = CliRunner().invoke(app, ["replay", *arguments], env=environment(stack.settings), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_beside_a_worker_and_after_it_its_rows_come_again(stack: Stack, tmp_path: Path) -> None:
    """1 replays beside the worker, 2 the oracle agrees, 3 from the topic and from files all comes back."""
    records = [record for trace in whole_traces(TRACES) for record in trace] + [_session_score(), *_giant(120)]
    random.Random(3).shuffle(records)  # every trace gets events before, while and after each step
    worker = stack.worker(**QUICK, resident_traces=TRACES // 3, trace_bytes=30_000)
    first = len(records) // 4
    produce(stack.settings, records[:first])
    wait_until_stored(stack, first)
    book = publish(stack.settings)  # the first replay brings it to what was written before
    records, whole = records[first:], records
    steps: list[tuple[str, ...]] = [(*FROM, *TAKEN), (*FROM, "--into", "shadow"), ("--swap", *TAKEN)]
    share = len(records) // (len(steps) + 1) + 1
    with ThreadPoolExecutor(1) as producer:
        for number, step in enumerate(steps):  # 1
            sending = producer.submit(produce, stack.settings, records[number * share : (number + 1) * share])
            spanfold(stack, *step)
            sending.result()
    produce(stack.settings, records[len(steps) * share :])
    wait_until_stored(stack, len(whole))
    wait_until_settled(stack)
    worker.stop()
    assert difference(shown(stack), views(known(whole), ObservationPricer(book)))[:10] == []  # 2
    assert stack.count("SELECT uniqExact(trace_id, event_id) FROM raw_events") == len(whole)

    before, seen = digest(stack), _first_seen(stack)
    told = spanfold(stack, *FROM, "--into", "shadow", "--json", "--wait", "0")  # 3
    assert '"changed": 0, "only_live": 0, "only_shadow": 0' in told
    assert spanfold(stack, *FROM, "--export", str(tmp_path / "out")).endswith("in 1 files\n")
    for source in ("kafka", str(tmp_path / "out")):
        for table in ("raw_events", *ROWS):
            stack.client.command(f"TRUNCATE TABLE {table}")
        spanfold(stack, *FROM, "--source", source, "--wait", "0")
        assert digest(stack) == before, source
        assert _first_seen(stack) == seen
    assert spanfold(stack, *FROM, "--source", "kafka", "--dry-run").startswith("0 events would be new")


def publish(settings: Settings) -> PriceBook:
    """Other prices; the book that workers take."""
    document = parse_document("prices: [{id: contract, match: 'gpt-4o*', per_million: {input: 1, output: 4}}]")
    registry = open_registry(settings.registry)
    registry.publish_prices(document.model_dump(mode="json", by_alias=True), base_version())
    registry.close()
    return PriceBook(document)


def _first_seen(stack: Stack) -> list[tuple[Any, ...]]:
    rows = stack.client.query("SELECT trace_id, first_seen FROM traces ORDER BY ALL").result_rows
    return [tuple(row) for row in rows]


def _session_score() -> Outgoing:
    body = {"id": "of-a-session", "sessionId": "s", "name": "good", "value": 1}
    return langfuse_record({"id": "es", "type": "score-create", "timestamp": "2026-11-20T12:00:00Z", "body": body})


def _giant(size: int) -> list[Outgoing]:
    return [
        langfuse_record({
            "id": f"g{number}", "type": "generation-create", "timestamp": "2026-11-20T12:00:00Z",
            "body": {"id": f"giant-{number:05}", "traceId": "giant", "input": "x" * 500, "model": "gpt-4o",
                     "parentObservationId": f"giant-{number // 3:05}" if number else None,
                     "startTime": "2026-11-20T12:00:00Z", "endTime": "2026-11-20T12:00:01Z",
                     "usageDetails": {"input": number, "output": 1}},
        })
        for number in range(size)
    ]  # fmt: skip
