"""`spanfold up` as a user runs it: one command, an event in, a row out, and nothing left when it is over."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from tests.fixtures.otlp import TRACE_ID, sdk_span

SPANFOLD = (sys.executable, "-P", "-m", "pipeline")
READY_WITHIN = 120.0  # seconds; about 10 on an idle machine
STOP_WITHIN = 10.0  # the promise of `spanfold up`
VISIBLE_WITHIN = 30.0


class Up:
    """A running `spanfold up --port 0 --json` on `data`, started in a folder that has a `pipeline` of its own."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.errors = data.with_suffix(".stderr")
        (data.parent / "pipeline.py").write_text("raise SystemExit('this is the pipeline of another project')")
        command = [*SPANFOLD, "up", "--data", str(data), "--port", "0", "--json", *options]
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("SPANFOLD_", "LANGFUSE_"))}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=data.parent, env=bare)

    def ready(self) -> dict[str, Any]:
        """Wait for the line of JSON; it must be the only thing on stdout."""
        until(lambda: (self.data / "stack.json").exists() or self.process.poll() is not None, READY_WITHIN)
        assert self.process.poll() is None, self.errors.read_text()
        assert self.process.stdout
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def roles(self) -> list[int]:
        """The processes that `up` started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal and wait for the end; seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(READY_WITHIN)
        return time.monotonic() - began


@contextmanager
def up(data: Path, *options: str) -> Iterator[Up]:
    running = Up(data, *options)
    try:
        yield running
    finally:
        running.process.kill()  # and its roles with it
        running.process.wait()
        if running.process.stdout:
            running.process.stdout.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def until(condition: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {within:g} s"
        time.sleep(0.05)


def beats(metrics: str) -> bool:
    """Whether the process that shows these has an event loop that turns."""
    found = re.search(r"^spanfold_loop_delay_seconds_count (\S+)", metrics, re.MULTILINE)
    return found is not None and float(found[1]) > 0


def command_of(pid: int) -> str:
    """Its words, each followed by a zero."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def send_trace(stack: dict[str, Any], trace_id: str) -> None:
    event = {
        "id": f"event-{trace_id}",
        "type": "trace-create",
        "timestamp": "2025-01-01T00:00:00Z",
        "body": {"id": trace_id, "name": "hello"},
    }
    answer = httpx.post(
        f"{stack['http']}/api/public/ingestion",
        json={"batch": [event]},
        auth=(stack["public_key"], stack["secret_key"]),
        timeout=30,
    )
    assert answer.status_code == 207, answer.text
    assert answer.json()["errors"] == []


def send_span(stack: dict[str, Any]) -> None:
    """By OpenTelemetry's own exporter, over gRPC."""
    keys = base64.b64encode(f"{stack['public_key']}:{stack['secret_key']}".encode()).decode()
    exporter = OTLPSpanExporter(stack["grpc"], insecure=True, headers={"authorization": f"Basic {keys}"})
    assert exporter.export([sdk_span(0, "root")]) is SpanExportResult.SUCCESS
    exporter.shutdown()


def spanfold(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SPANFOLD, *arguments], capture_output=True, text=True, timeout=60, check=False)


def trace_ids(stack: dict[str, Any]) -> list[str]:
    """What ClickHouse itself answers; quicker to ask again and again than a command."""
    query = "SELECT trace_id FROM spanfold.traces ORDER BY trace_id FORMAT TSV"
    return httpx.get(stack["clickhouse"], params={"query": query}, timeout=30).text.split()


def traces(data: Path) -> list[dict[str, Any]]:
    query = "SELECT trace_id, name, start_time FROM traces ORDER BY trace_id"
    outcome = spanfold("sql", query, "--format", "json", "--data", str(data))
    assert outcome.returncode == 0, outcome.stderr
    rows: list[dict[str, Any]] = json.loads(outcome.stdout)
    return rows


def test_an_event_becomes_a_row_though_a_worker_dies_and_sigterm_stops_everything_in_ten_seconds(data: Path) -> None:
    with up(data, "--workers", "2") as running:
        stack = running.ready()
        assert stack.items() <= json.loads((data / "stack.json").read_text()).items()
        assert stack["event"] == "ready"
        assert httpx.get(f"{stack['http']}/api/public/health", timeout=30).status_code == 200
        assert set(stack["metrics"]) == {"ingest", "worker-1", "worker-2", "evaluator"}
        for url in stack["metrics"].values():
            until(lambda url=url: beats(httpx.get(url, timeout=30).text), VISIBLE_WITHIN)
            for path in ("live", "ready"):
                assert httpx.get(url.replace("/metrics", f"/health/{path}"), timeout=30).json()["status"] == "OK"

        send_trace(stack, "trace-1")
        until(lambda: trace_ids(stack) == ["trace-1"], VISIBLE_WITHIN)
        assert traces(data) == [
            {"trace_id": "trace-1", "name": "hello", "start_time": "2025-01-01T00:00:00.000000Z"},
        ]
        send_span(stack)
        until(lambda: trace_ids(stack) == [TRACE_ID, "trace-1"], VISIBLE_WITHIN)
        until(lambda: spanfold("lag", "--data", str(data), "--max-lag", "0").returncode == 0, VISIBLE_WITHIN)
        assert spanfold("doctor", "--data", str(data)).returncode == 0
        assert spanfold("sql", "DROP TABLE traces_rows", "--data", str(data)).returncode == 1
        second = spanfold("up", "--data", str(data))
        assert (second.returncode, "Another `spanfold up`" in second.stderr) == (1, True)

        killed, _ = (pid for pid in running.roles() if command_of(pid).endswith("\0worker\0"))
        os.kill(killed, signal.SIGKILL)
        send_trace(stack, "trace-2")
        until(lambda: trace_ids(stack) == [TRACE_ID, "trace-1", "trace-2"], VISIBLE_WITHIN)
        until(lambda: len(running.roles()) == 6, READY_WITHIN)  # broker, store, ingest, two workers, evaluator
        assert "worker-1 ended with exit code -9; it is started again" in running.errors.read_text()
        roles = running.roles()
        assert running.stop() < STOP_WITHIN
        assert running.process.returncode == 0
        assert running.process.stdout
        assert running.process.stdout.read() == b""
    assert not [pid for pid in roles if runs(pid)]
    assert not (data / "stack.json").exists()


def test_a_killed_stack_leaves_no_process_and_starts_again_with_its_keys_and_rows(data: Path) -> None:
    with up(data) as running:
        first = running.ready()
        send_trace(first, "before")
        roles = running.roles()
        running.stop(signal.SIGKILL)
        until(lambda: not any(runs(pid) for pid in roles), STOP_WITHIN)
    assert spanfold("sql", "SELECT 1", "--data", str(data)).returncode == 1  # its stack.json is stale

    (data / "stack.json").unlink()  # so that `ready` waits for the next one
    with up(data) as running:
        again = running.ready()
        assert (again["public_key"], again["secret_key"]) == (first["public_key"], first["secret_key"])
        send_trace(again, "later")
        until(lambda: trace_ids(again) == ["before", "later"], VISIBLE_WITHIN)
        assert running.stop() < STOP_WITHIN


def test_a_stop_while_it_starts_leaves_nothing(data: Path) -> None:
    with up(data) as running:
        until(lambda: (data / "logs" / "store.log").exists(), READY_WITHIN)
        roles = running.roles()
        assert running.stop() < STOP_WITHIN
        assert running.process.returncode == 0, running.errors.read_text()
    assert not [pid for pid in roles if runs(pid)]
    assert not (data / "stack.json").exists()
