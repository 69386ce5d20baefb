"""Run one process over a full topic until all of it is in the store; the process itself counts its CPU."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import replace

from clickhouse_connect.driver.client import Client

from pipeline.local.probes import FileAppears
from pipeline.local.role import Role
from pipeline.local.roles import environment, worker_role
from pipeline.local.supervise import RestartLimit, Supervisor
from pipeline.ops.bench.figures import BenchError, Cost, read_cost
from pipeline.ops.bench.scratch import Installation, Scratch
from pipeline.store.client import connect

_LOOK = 0.25  # seconds between two looks at the store
_STOP_WITHIN = 20.0  # seconds
_STALLED = 60.0  # seconds without a new record
_PROFILE = "SPANFOLD_PROFILE_STAGES"
_PLAIN = (sys.executable, "-m", "pipeline.ops.bench.plain_faust", "worker", "--without-web", "--loglevel", "warn")

Stored = Callable[[Client], int]
Seen = Callable[[int], None]


async def worker_cost(scratch: Scratch, installation: Installation, events: int, seen: Seen) -> Cost:
    """CPU of one `spanfold worker` until every record is stored and every trace has settled. Raises BenchError."""

    def stored(client: Client) -> int:
        covered = _number(client, "SELECT sum(records) FROM offset_ranges")
        open_ = covered >= events and _number(client, "SELECT count() FROM traces WHERE NOT settled")
        return events - 1 if open_ else covered

    role = worker_role(1, installation.fields, scratch.folder / "run")
    return await _cost(scratch, installation, role, stored, events, seen)


async def plain_cost(scratch: Scratch, installation: Installation, events: int, seen: Seen) -> Cost:
    """CPU of the plain Faust agent until every event is inserted. Raises BenchError."""
    ready = scratch.folder / "run" / "plain.ready"
    env = {**environment(installation.fields), "SPANFOLD_READY_FILE": str(ready)}
    role = Role("plain", _PLAIN, FileAppears(ready), env)
    return await _cost(
        scratch, installation, role, lambda client: _number(client, "SELECT count() FROM raw_events"), events, seen
    )


async def _cost(
    scratch: Scratch, installation: Installation, role: Role, stored: Stored, events: int, seen: Seen
) -> Cost:
    out = installation.settings.data_dir / "cpu.json"
    role = replace(role, name=installation.settings.topic_prefix, env={**role.env, _PROFILE: str(out)})
    supervisor = Supervisor(scratch.logs, limit=RestartLimit(count=1), stop_within=_STOP_WITHIN)
    with closing(connect(installation.settings)) as client:
        try:
            await supervisor.start(role)
            await _first(supervisor.wait(), _until(client, stored, events, seen))
        finally:
            await supervisor.stop()
    return read_cost(out, events)


async def _first(*works: Coroutine[None, None, None]) -> None:
    """Return or raise as the first of them does; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def _until(client: Client, stored: Stored, events: int, seen: Seen) -> None:
    """Look until `events` records are stored. Raises BenchError when nothing moves any more."""
    loop = asyncio.get_running_loop()
    best, since = -1, loop.time()
    while (count := await asyncio.to_thread(stored, client)) < events:
        if count > best:
            best, since = count, loop.time()
        elif loop.time() - since > _STALLED:
            raise BenchError(
                f"Nothing moved for {_STALLED:g} s at {count} of {events} records.",
                remedy="Run it again with --keep and read the logs.",
            )
        seen(count)
        await asyncio.sleep(_LOOK)
    seen(events)


def _number(client: Client, query: str) -> int:
    return int(client.query(query).result_rows[0][0])
