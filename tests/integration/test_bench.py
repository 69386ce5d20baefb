"""`spanfold bench` as a program runs it: a stack of its own, one JSON object, nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack


def test_bench_prints_one_object_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "pipeline", "bench", "--events", "2000", "--runs", "1", "--compare", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path), "SPANFOLD_SETTLE_QUIET": "0.2"},
    )
    assert outcome.returncode == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    assert said["events"] == 2_006
    assert said["worker_cpu_us_per_event"] > 0
    assert set(said["stages"]) == {"framework", "decode", "fold", "build", "rows", "store"}
    assert all(cost > 0 for cost in said["stages"].values())
    assert sum(said["stages"].values()) == pytest.approx(said["worker_cpu_us_per_event"], abs=0.1)
    assert said["plain_faust_cpu_us_per_event"] > 0
    assert list(tmp_path.iterdir()) == []
