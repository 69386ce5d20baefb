"""A worker that comes back to a backlog: when fresh events are visible, and when it has caught up.

Twice over the same events: read in order, and with SPANFOLD_FRESH_FIRST. Once the worker has its partitions a trace is
sent every 50 ms, ten events each. `python -m tests.bench.bench_backlog [EVENTS]`; about a minute each with 150,000.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

from pipeline.ops.bench.traffic import traffic
from tests.bench.bench_rolling import Watched
from tests.bench.services import broker_and_store, peak_mib
from tests.fixtures.captures import Outgoing, produce
from tests.fixtures.worker import Stack, new_stack

OLD = 2.0  # seconds


def run(stack: Stack, events: int, name: str, fresh_first: float) -> None:
    """Fill, wait until it is old, start, watch, print a line."""
    produce(stack.settings, (Outgoing(*record) for record in traffic(events, open_traces=1_000)))
    time.sleep(OLD)
    worker = stack.worker(fresh_first=fresh_first)
    began = time.monotonic()
    watched = Watched(stack)
    thread = threading.Thread(target=watched.run)
    thread.start()
    while stack.count("SELECT count() FROM raw_events WHERE project_id = 'bench'") < events:
        time.sleep(0.1)
    caught_up = time.monotonic() - began
    watched.over.set()
    thread.join()
    first = min(sent + seconds for sent, seconds in watched.fresh) - began
    calm = min(sent for sent, seconds in watched.fresh if sent - began > first) - began
    fresh = sorted(seconds for sent, seconds in watched.fresh if sent - began >= calm)
    print(
        f"{name}: the first fresh trace is visible after {first:.1f} s; from then on "
        f"p50 {fresh[len(fresh) // 2]:.2f} s, "
        f"p99 {fresh[int(0.99 * len(fresh))]:.2f} s; backlog of {events} folded after {caught_up:.1f} s "
        f"({events / caught_up:,.0f} a second); the worker's peak {peak_mib(worker.process.pid):.0f} MiB; "
        f"{len(watched.pending)} never seen",
        flush=True,
    )
    worker.stop()


def main(events: int = 150_000) -> None:
    """Both."""
    with tempfile.TemporaryDirectory() as folder, broker_and_store(Path(folder)) as (kafka, store):
        for name, seconds in (("in order", 0.0), ("fresh first", OLD)):
            stack = new_stack(kafka, store, Path(folder) / name)
            run(stack, events, name, seconds)
            stack.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
