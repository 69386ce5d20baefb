"""Large events are read in another process, with the same outcome, and a dead process costs nothing."""

import asyncio
import json
import os
import signal
import time
from datetime import UTC, datetime
from multiprocessing.context import SpawnProcess
from typing import Any

import pytest

from pipeline.events import headers
from pipeline.ingest.accept import record_headers
from pipeline.ingest.aside import LARGE_BYTES, Aside
from pipeline.ingest.auth import Principal
from pipeline.ingest.judge import judge
from pipeline.registry import Organization, Project

PRINCIPAL = Principal(Project("p", "p", Organization("o", "o"), datetime.now(UTC)), "project")
COMMON = record_headers("p", b"test", headers.LANGFUSE_JSON)
LIMIT = 5_000_000


def event(value: Any, **changes: Any) -> bytes:
    body = {"id": "s", "traceId": "t", "input": value}
    return json.dumps(
        {"id": "e", "type": "span-create", "timestamp": "2026-11-23T08:58:22Z", "body": body, **changes}
    ).encode()


LARGE = event([{"k": number, "v": "abc", "w": [1, 2]} for number in range(100_000)])


async def test_large_events_are_judged_as_small_ones_while_the_loop_goes_on() -> None:
    aside = Aside()
    events = [LARGE, event("x" * LARGE_BYTES, id=7), event("x" * LARGE_BYTES, type="sdk-log"), event("y" * LIMIT)]
    try:
        await aside.warm_up()
        assert aside._pool is not None
        pids = list(aside._pool._processes)
        turns = 0
        judging = asyncio.ensure_future(aside.judge(PRINCIPAL, LARGE, LIMIT, COMMON))
        while not judging.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert turns > 5
        assert len(pids) == 1, "one was there before the first large event"
        for raw in events:
            assert await aside.judge(PRINCIPAL, raw, LIMIT, COMMON) == judge(PRINCIPAL, raw, LIMIT, COMMON)
    finally:
        aside.close()


async def test_a_process_that_dies_costs_no_event_and_none_is_left_behind() -> None:
    aside = Aside()
    try:
        await aside.judge(PRINCIPAL, LARGE, LIMIT, COMMON)
        assert aside._pool is not None
        for pid in list(aside._pool._processes):
            os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            assert await aside.judge(PRINCIPAL, LARGE, LIMIT, COMMON) == judge(PRINCIPAL, LARGE, LIMIT, COMMON)
        assert aside._pool is not None
        pids = list(aside._pool._processes)
    finally:
        aside.close()
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("size", [0, LARGE_BYTES])
async def test_small_events_start_no_process(size: int) -> None:
    aside = Aside()
    raw = event("x" * (size - len(event("")))) if size else event("")
    assert await aside.judge(PRINCIPAL, raw, LIMIT, COMMON) == judge(PRINCIPAL, raw, LIMIT, COMMON)
    assert aside._pool is None


async def test_where_no_process_can_be_started_large_events_are_read_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_process: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")  # as fork says at a limit of processes

    monkeypatch.setattr(SpawnProcess, "start", refuse)
    aside = Aside()
    try:
        await aside.warm_up()
        for _ in range(2):
            assert await aside.judge(PRINCIPAL, LARGE, LIMIT, COMMON) == judge(PRINCIPAL, LARGE, LIMIT, COMMON)
    finally:
        aside.close()
