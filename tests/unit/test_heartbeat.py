"""A loop that is stuck is found: liveness says 503, and the log says where it stands, once."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.metrics import Metric, Metrics, Role
from pipeline.metrics.health import LIVE, READY, Health
from pipeline.metrics.heartbeat import Heartbeat
from pipeline.metrics.server import StatusServer

LIMIT = 0.2
PATIENCE = 20.0


def blocks_the_loop_on_purpose(until: threading.Event) -> None:
    assert until.wait(PATIENCE)


def ask(server: StatusServer, path: str) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=PATIENCE) as answer:
            return answer.status, json.load(answer).get("reasons", [])
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)["reasons"]


@contextmanager
def served(heart: Heartbeat) -> Iterator[StatusServer]:
    health = Health([heart.complaint], [])
    server = StatusServer({LIVE: health.live, READY: health.ready}, "127.0.0.1", 0)
    server.start()
    try:
        with heart.listening():
            yield server
    finally:
        server.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def beat(heart: Heartbeat) -> "asyncio.Task[None]":
    task = asyncio.create_task(heart.run(last_resort=False))
    await asyncio.sleep(0)
    return task


async def test_a_blocked_loop_fails_liveness_and_the_log_names_what_blocks_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heart, over = Heartbeat(LIMIT, Metrics(Role.WORKER)), threading.Event()
    answers: list[tuple[int, list[str]]] = []
    with served(heart) as server, caplog.at_level(logging.CRITICAL):

        def look() -> None:
            until(lambda: ask(server, LIVE)[0] == 503)
            until(lambda: bool(caplog.records))
            heart.check()
            answers.extend(ask(server, path) for path in (LIVE, READY))
            over.set()

        task = await beat(heart)
        assert ask(server, LIVE) == (200, [])
        looker = threading.Thread(target=look)
        looker.start()
        blocks_the_loop_on_purpose(over)
        looker.join()
        assert [status for status, _ in answers] == [503, 503]
        assert "event loop has not turned" in answers[0][1][0]
        assert len(caplog.records) == 1
        assert "blocks_the_loop_on_purpose" in caplog.text
        assert "Thread MainThread" in caplog.text
        await asyncio.sleep(0)
        await asyncio.to_thread(until, lambda: ask(server, LIVE)[0] == 200)
        task.cancel()


async def test_each_silence_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    heart = Heartbeat(0.01, Metrics(Role.WORKER))
    for count in (1, 2):
        until(lambda: heart.silence() > 0.01)
        heart.check()
        heart.check()
        assert len(caplog.records) == count
        (await beat(heart)).cancel()
        heart.check()


async def test_how_late_a_beat_was_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.metrics.heartbeat.EVERY", 0.02)
    metrics = Metrics(Role.WORKER)
    task = await beat(Heartbeat(LIMIT, metrics))
    while not metrics.value(Metric.LOOP_DELAY):
        await asyncio.sleep(0.01)
    task.cancel()


def test_code_that_keeps_the_interpreters_lock_is_found_too() -> None:
    program = """
import asyncio, re
from pipeline.metrics import Metrics
from pipeline.metrics import heartbeat
heartbeat._LAST_RESORT = 0.1

def keeps_the_lock():
    re.match(r"(a|a)*$", "a" * 60 + "b")

async def main():
    beats = asyncio.create_task(heartbeat.Heartbeat(0.3, Metrics()).run())
    await asyncio.sleep(0)
    keeps_the_lock()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        told = ""
        try:
            while "keeps_the_lock" not in told:
                line = process.stderr.readline()
                assert line, told
                told += line
        finally:
            process.kill()
    assert "Timeout" in told
