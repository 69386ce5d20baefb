"""What a replay remembers of itself, in `replay_runs`: so the same command goes on where it was broken off.

A run is continued by the same version of the code, for the same scope and target, while its epoch still stands; else
it would mix rows of two makings. Asking for a new one (`--restart`) leaves the old one as it is.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import orjson
from clickhouse_connect.driver.client import Client

from pipeline import __version__
from pipeline.errors import SpanfoldError
from pipeline.replay.scope import sql
from pipeline.store.lookups import TraceKey
from pipeline.store.native import encode
from pipeline.store.replay_rows import ReplayRunRow
from pipeline.store.tables import REPLAY_RUNS, TABLES

LIVE, SHADOW = "live", "shadow"
RUNNING, DONE, SWAPPING, SWAPPED, DISCARDED = "running", "done", "swapping", "swapped", "discarded"


class SwapUnderWayError(SpanfoldError):
    """Some of the shadow's rows are in the live tables already, others are not."""


@dataclass(frozen=True, slots=True)
class Run:
    """One replay. `scope` is what was asked for, as JSON; times in microseconds."""

    target: str
    scope: str
    until: int
    epoch: int
    state: str = RUNNING
    after: TraceKey = ("", "")
    counts: dict[str, int] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid4().hex)
    code: str = __version__
    started_at: int = field(default_factory=lambda: time.time_ns() // 1000)


def asked(start: str, until: str, project: str, traces: Iterable[str]) -> str:
    """What was asked for, the same text for the same question."""
    return orjson.dumps([start, until, project, sorted(traces)]).decode()


def remember(client: Client, run: Run, **changes: Any) -> Run:
    """Store the run with these changes, and return it."""
    run = replace(run, **changes)
    row = ReplayRunRow(
        run.id, run.state, run.target, run.scope, run.until, run.epoch, run.code, run.started_at,
        time.time_ns() // 1000, *run.after, run.counts,
    )  # fmt: skip
    table = TABLES[REPLAY_RUNS]
    client.raw_insert(table.name, list(table.columns), bytes(encode(table, [row])), fmt="Native")
    return run


def begun(client: Client, scope: str, target: str) -> Run | None:
    """The newest run for this scope and target by this version of the code, where it was broken off."""
    run = _newest(client, target, scope)
    return run if run is not None and run.state == RUNNING else None


def shadow_run(client: Client) -> Run | None:
    """The newest run into the shadow tables."""
    return _newest(client, SHADOW, "")


def check_no_swap(client: Client) -> None:
    """Raises SwapUnderWayError where a swap was begun and not completed."""
    run = shadow_run(client)
    if run is not None and run.state == SWAPPING:
        raise SwapUnderWayError(
            "A swap was broken off: some of the shadow's rows have moved.", remedy="Complete it: spanfold replay --swap"
        )


def _newest(client: Client, target: str, scope: str) -> Run | None:
    parameters = {"target": target, "scope": scope, "code": __version__}
    result = client.query(sql("newest_run"), parameters=parameters, query_formats={"DateTime64": "int"})
    for target_, scope_, until, epoch, state, project, trace, counts, id_, code, started_at in result.result_rows:
        return Run(target_, scope_, until, epoch, state, (project, trace), dict(counts), id_, code, started_at)
    return None
