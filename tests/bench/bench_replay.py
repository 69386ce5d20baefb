"""Replay of a million events: events per second, peak memory, and whether the rows are the same to the byte.

An archive of ordinary traces is made up (about 1 KB an event). Its rows are made by one replay into the live tables,
which is killed on the way and given again; then it is replayed into shadow tables, compared, and swapped. Every replay
is a process of its own. ClickHouse is the embedded engine on the same machine.
`python -m tests.bench.bench_replay [EVENTS]`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.keys import event_identity, trace_hash
from pipeline.replay.scope import NOTHING, PAGE_TRACES, Scope
from pipeline.store.client import connect
from pipeline.store.migrate import migrate
from pipeline.store.native import encode
from pipeline.store.rows import RawEventRow
from pipeline.store.tables import RAW_EVENTS, TABLES
from tests.bench.simulated import PROJECT, SECOND, Said, batched, created, ended, traced
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW

OBSERVATIONS = 8  # of a trace
EVENTS = 2 * OBSERVATIONS + 1
AT_ONCE = 20_000
WHEN = "first_seen, updated_at, row_version"
RANGE = ("--from", "2090-01-01", "--to", "2091-01-01")
MiB = 2**20


def said(trace_number: int) -> Iterator[tuple[str, str, str, bytes]]:
    """(trace, kind, entity, event) of one trace: every second step is a call, the first is the root."""
    trace = f"{trace_number * 0x9E3779B97F4A7C15 % 2**64:016x}{trace_number:016x}"
    at = trace_number * SECOND // 50
    yield from _event("trace", trace, traced(trace, at))
    for step in range(OBSERVATIONS):
        id_, kind = f"{trace[16:]}{step:04x}", "generation" if step % 2 else "span"
        parent = f"{trace[16:]}{step // 2:04x}" if step else None
        yield from _event("observation", trace, created(trace, id_, parent, at + step * 1_000, kind))
        yield from _event("observation", trace, ended(trace, id_, at + SECOND, step + trace_number % 90, kind))


def _event(kind: str, trace: str, event: Said) -> Iterator[tuple[str, str, str, bytes]]:
    yield trace, kind, event.id_, event.value


def fill(client: Client, events: int) -> int:
    """Archive so many events; how many bytes they are."""
    stream = (each for number in range(events // EVENTS) for each in said(number))
    offset = size = 0
    table = TABLES[RAW_EVENTS]
    for some in batched(stream, AT_ONCE):
        rows = []
        for trace, kind, entity, value in some:
            at = NOW + offset // EVENTS * EVENTS * SECOND // 100
            event_id = json.loads(value)["id"]
            identity, content = event_identity(event_id, value), headers.LANGFUSE_JSON.decode()
            where = ("bench.events", 0, offset, 0)
            rows.append(
                RawEventRow(
                    PROJECT, trace, trace_hash(PROJECT, trace), event_id, identity, kind, entity, content, value,
                    "bench", at, *where, at, at,
                )
            )  # fmt: skip
            offset += 1
            size += len(value)
        client.raw_insert(table.name, list(table.columns), bytes(encode(table, rows)), fmt="Native")
    return size


def start(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """`spanfold replay … --json` as a process."""
    names = ("data_dir", "clickhouse_url", "clickhouse_database")
    environment = {f"SPANFOLD_{name.upper()}": str(getattr(settings, name)) for name in names}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "replay", *arguments, "--wait", "0", "--json"],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def command(settings: Settings, *arguments: str) -> tuple[dict[str, Any], float]:
    """Run it; what it says, and seconds of wall time with its start."""
    began = time.monotonic()
    process = start(settings, *arguments)
    out, error = process.communicate(timeout=900)
    if process.returncode:
        raise SystemExit(error.decode()[-3000:])
    answer: dict[str, Any] = json.loads(out)
    return answer, time.monotonic() - began


def _killed(client: Client, settings: Settings, traces: int) -> int:
    """Kill a replay once so many traces are done; how many it had done."""
    process = start(settings, *RANGE)
    done = 0
    while done < traces and process.poll() is None:
        rows = client.query("SELECT max(counts['traces']) FROM replay_runs").result_rows
        done = int(rows[0][0])
        time.sleep(0.2)  # the condition is a row of another process
    process.kill()
    process.communicate()
    return done


def digest(client: Client, database: str) -> dict[str, tuple[int, int]]:
    """(rows, hash over all columns that are a function of the event set) of each view."""
    found = {}
    for view in ("traces", "observations", "scores"):
        when = WHEN + (", settled" if view == "traces" else "")
        what = f"SELECT * EXCEPT ({when}) FROM {database}.{view}"
        query = f"SELECT count(), groupBitXor(cityHash64(toString(tuple(*)))) FROM ({what})"
        rows, hash_ = client.query(query).first_row or (0, 0)
        found[view] = (int(rows), int(hash_))
    return found


def main(events: int = 1_000_000) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        server = ClickHouseProcess(Path(folder))
        server.start()
        settings = Settings(data_dir=Path(folder), clickhouse_url=server.url, clickhouse_database="replayed")
        try:
            migrate(settings)
            client = connect(settings, timeout=600)
            began = time.monotonic()
            size = fill(client, events)
            print(
                f"archive: {events // EVENTS * EVENTS} events, {size / MiB:.0f} MiB, {time.monotonic() - began:.0f} s"
            )
            print(f"the first {PAGE_TRACES} traces are named in {_first_page(client):.2f} s", flush=True)
            print(
                f"killed (SIGKILL) after {_killed(client, settings, events // EVENTS // 3)} traces, given again:",
                flush=True,
            )
            said_live, seconds = command(settings, *RANGE)
            _print("live, into empty tables", said_live, seconds)
            said_shadow, seconds = command(settings, *RANGE, "--into", "shadow")
            _print("shadow", said_shadow, seconds)
            live, shadow = digest(client, "replayed"), digest(client, "replayed_shadow")
            print(f"hashes identical: {live == shadow}: {live}", flush=True)
            same = {table: each["equal"] for table, each in said_shadow["comparison"].items()}
            print(
                f"comparison, rows equal: {same}; with its start {seconds - said_shadow['seconds']:.1f} s", flush=True
            )
            began = time.monotonic()
            _, seconds = command(settings, "--swap")
            print(f"swap: {seconds:.1f} s; hashes identical: {digest(client, 'replayed') == live}", flush=True)
            client.close()
        finally:
            server.stop()


def _first_page(client: Client) -> float:
    """Seconds until the first traces are known."""
    scope = Scope(datetime(2090, 1, 1, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC))
    began = time.monotonic()
    client.query(scope.query("page"), parameters={**scope.parameters(NOTHING), "limit": PAGE_TRACES})
    return time.monotonic() - began


def _print(what: str, said_: dict[str, Any], seconds: float) -> None:
    print(
        f"{what}: {said_['traces']} traces, {said_['observation_rows']} observations; {said_['seconds']:.1f} s "
        f"({seconds:.1f} s with start), {said_['events_per_second']} events/s, "
        f"at most {said_['peak_bytes'] / MiB:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
