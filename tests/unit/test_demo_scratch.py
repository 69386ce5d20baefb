"""The demo's own stack: found when it is ready, never another one, gone at the end, its last words quoted."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pipeline.demo.scratch import ScratchError, registry_url, scratch_stack
from pipeline.local.stack import is_alive, load_settings

UP = """
import json, os, signal, sys
from pathlib import Path
from pipeline.local.stack import Stack, load_settings, write_stack

options = sys.argv[1:]
assert options[0::2] == ["--data", "--port", "--clickhouse-port", "--kafka-port", "--json"], options
settings = load_settings()
fields = {name: str(getattr(settings, name)) for name in ("registry_url", "init_project_id", "topic_prefix")}
print("spanfold: broker is ready (0.1 s)", file=sys.stderr, flush=True)
stack = Stack("http://h", "http://c", "k", options[1], settings.init_project_id, "pk", "sk", os.getpid(), fields)
write_stack(stack)
print(json.dumps(stack.announcement()), flush=True)
signal.pause()
"""
BROKEN = """
import sys
print("spanfold: Java is missing", file=sys.stderr)
sys.exit(1)
"""


def command(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


async def test_a_ready_stack_is_given_and_stops_with_the_block(tmp_path: Path) -> None:
    said: list[str] = []
    async with scratch_stack(tmp_path, 0, said.append, command(UP)) as scratch:
        assert is_alive(scratch.stack.pid)
        assert scratch.stack.data == str(tmp_path)
    assert said == ["broker is ready (0.1 s)"]
    assert not is_alive(scratch.stack.pid)


async def test_the_environment_cannot_lead_it_to_another_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANFOLD_REGISTRY_URL", "postgresql://production/registry")
    monkeypatch.setenv("SPANFOLD_TOPIC_PREFIX", "production")
    monkeypatch.setenv("LANGFUSE_INIT_PROJECT_ID", "production")
    async with scratch_stack(tmp_path, 0, lambda line: None, command(UP)) as scratch:
        settings = load_settings(**scratch.stack.settings)
    assert settings.registry == registry_url(tmp_path)
    assert (settings.init_project_id, settings.topic_prefix) == ("demo", "spanfold")


async def test_a_stack_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ScratchError, match=r"exit code 1.*\n.*Java is missing"):
        async with scratch_stack(tmp_path, 0, lambda line: None, command(BROKEN)):
            raise AssertionError("there is no stack")


async def test_an_error_that_comes_of_a_stack_that_ended_names_the_stack(tmp_path: Path) -> None:
    with pytest.raises(ScratchError, match="broker is ready"):
        async with scratch_stack(tmp_path, 0, lambda line: None, command(UP)) as scratch:
            os.kill(scratch.stack.pid, 9)
            await scratch.ended()
            raise ConnectionRefusedError("no front door")


async def test_an_error_of_the_demo_itself_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with scratch_stack(tmp_path, 0, lambda line: None, command(UP)) as scratch:
            raise ZeroDivisionError
    assert not is_alive(scratch.stack.pid)


async def test_a_cancelled_demo_leaves_no_stack(tmp_path: Path) -> None:
    pids: list[int] = []

    async def demo() -> None:
        async with scratch_stack(tmp_path, 0, lambda line: None, command(UP)) as scratch:
            pids.append(scratch.stack.pid)
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # we are in a task
            await scratch.ended()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(demo())
    assert not is_alive(pids[0])
