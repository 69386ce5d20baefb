"""`spanfold bench --ingest` as a program runs it: a figure for each kind of request, nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.ops.bench.ingest_load import Sent

pytestmark = pytest.mark.stack


def test_bench_prints_one_object_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "pipeline", "bench", "--ingest", "--events", "3000", "--runs", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert outcome.returncode == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    assert set(said["ingest"]) == {"batch of 512", "batch of 15", "one span", "15 scores"}
    assert all(route["cpu_us_per_event"] > 0 < route["events_per_second"] for route in said["ingest"].values())
    assert said["half_load"]["requests"] >= 5
    assert 0 < said["half_load"]["p50_ms"] <= said["half_load"]["p99_ms"]
    assert list(tmp_path.iterdir()) == []


def test_a_percentile_is_what_that_share_did_not_exceed() -> None:
    sent = Sent(latencies=[number / 100 for number in range(100, 0, -1)])
    assert (sent.percentile(0.5), sent.percentile(0.99), Sent(latencies=[3.0]).percentile(0.99)) == (0.51, 1.0, 3.0)
