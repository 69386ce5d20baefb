"""Poison: what cannot be decoded, what the store refuses, what is huge and what never ends; and a neighbour beside it.

SPANFOLD_POISON=long runs it for minutes with a trace of a million observations, before it the same without poison, and
prints figures: `SPANFOLD_POISON=long pytest -s --timeout 0 tests/faults/test_poison.py`.
"""

import os
import time
from pathlib import Path

import pytest

from tests.fixtures.poison import CONSTRAINT, GOOD, LARGE, POISON, Scale, Traffic
from tests.fixtures.views import wait_for, wait_until_stored
from tests.fixtures.worker import Stack, WorkerProcess

pytestmark = pytest.mark.stack

LONG = os.environ.get("SPANFOLD_POISON") == "long"
SHORT_SCALE = Scale(seconds=2.0, rate=500, giant=2_000)
CLEAN_SCALE = Scale(seconds=30.0, rate=1_000, giant=0, poisoned=False)
LONG_SCALE = Scale(seconds=120.0, rate=1_000, giant=1_000_000)
EVERY = 0.25  # seconds between two probes of freshness
LOOK = 0.05  # seconds between two looks for them


def test_poison_becomes_dead_letters_and_the_neighbour_has_all_its_rows(stack: Stack) -> None:
    stack.client.command(CONSTRAINT)
    worker = stack.worker(settle_quiet=0.5)
    probes = 0
    if LONG:
        stack.worker("tables", role="evaluate")
        probes = _run(stack, worker, CLEAN_SCALE, "clean", 0)
    scale = LONG_SCALE if LONG else SHORT_SCALE
    before = (CLEAN_SCALE.records if LONG else 0) + probes
    probes += _run(stack, worker, scale, "poisoned", before)
    assert worker.process.poll() is None
    good = scale.events + (CLEAN_SCALE.events if LONG else 0) + probes
    assert stack.count(f"SELECT count() FROM observations WHERE project_id = '{GOOD}'") == good
    bad = scale.events - scale.undecodable - scale.refused + (CLEAN_SCALE.events if LONG else 0)
    wait_for(stack, f"SELECT count() FROM observations WHERE project_id = '{POISON}'", bad + scale.giant + scale.large)
    assert stack.count(f"SELECT countIf(length(output) = {LARGE}) FROM observations") == scale.large
    assert stack.count("SELECT max(observation_count) FROM traces WHERE trace_id = 'giant'") == scale.giant
    assert stack.count("SELECT sum(rejected) FROM offset_ranges FINAL") == scale.undecodable
    if LONG:
        for reason, count in (("unknown_format", scale.undecodable), ("store_refused", scale.refused)):
            wait_for(stack, f"SELECT count() FROM dead_letters WHERE reason = '{reason}'", count)
        assert stack.count("SELECT count() FROM dead_letters") == scale.undecodable + scale.refused
    else:
        log = worker.log.read_text()
        assert log.count("event=row_refused") >= scale.refused


def _run(stack: Stack, worker: WorkerProcess, scale: Scale, run: str, before: int) -> int:
    """Send and wait until all is stored; prints what came of it. How many probes were sent."""
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    began = time.monotonic()
    with Traffic(stack.settings, scale, run).sending() as traffic:
        while traffic.running or len(seen) < len(sent):
            now = time.monotonic()
            if traffic.running and now - began >= len(sent) * EVERY:
                number = len(sent)
                sent[f"probe-{run}-{number}"] = now
                traffic.probe(number)
            _look(stack, sent, seen, run)
            assert time.monotonic() - began < scale.seconds + 300, f"{len(seen)} of {len(sent)} probes came"
            time.sleep(LOOK)  # a look is a query: not more of them than needed
        took = time.monotonic() - began
    wait_until_stored(stack, before + scale.records + len(sent))
    stored = time.monotonic() - began
    _tell(worker, scale, run, [seen[id_] - sent[id_] for id_ in sent], took, stored, traffic.behind)
    return len(sent)


def _look(stack: Stack, sent: dict[str, float], seen: dict[str, float], run: str) -> None:
    rows = stack.client.query(
        "SELECT observation_id FROM observations_rows WHERE project_id = {project:String} AND name = 'probe' "
        "AND startsWith(observation_id, {prefix:String})",
        parameters={"project": GOOD, "prefix": f"probe-{run}-"},
    ).result_rows
    now = time.monotonic()
    for (id_,) in rows:
        seen.setdefault(id_, now)


def _tell(
    worker: WorkerProcess, scale: Scale, run: str, delays: list[float], took: float, stored: float, behind: float
) -> None:
    delays.sort()
    p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    memory = next(line for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines() if "HWM" in line)
    print(
        f"\n{run}: {scale.records} records in {took:.0f} s, all stored after {stored:.0f} s "
        f"({scale.records / stored:.0f}/s); neighbour's freshness of {len(delays)} probes p50 {p50:.2f} s, "
        f"p99 {p99:.2f} s, longest {delays[-1]:.2f} s; worker {memory.split()[1]} kB at most; "
        f"sender late by {behind:.2f} s at most"
    )
