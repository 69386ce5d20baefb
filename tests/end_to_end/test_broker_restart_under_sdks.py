"""The broker is killed and comes back while programs with real SDKs go on: whatever they made becomes a row.

The front door waits for Kafka for SPANFOLD_PRODUCE_TIMEOUT, then answers 503; the SDKs send again. Set up by
environment variables only; LANGFUSE_TIMEOUT is how long the SDK tries (docs/ingest.md).
"""

import asyncio
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from pipeline.local.kafka import LocalKafka
from tests.fixtures.client_environments import PROGRAMS, python_with
from tests.fixtures.front_door import Front, healthy, running
from tests.fixtures.real_clients import addresses, variables
from tests.fixtures.worker import Stack

pytestmark = [pytest.mark.stack, pytest.mark.clients]

SDKS = ("langfuse-2.60.10", "langfuse-5.0.4")
ROUTES = {"/ingestion", "/otel/"}  # what they send to
PRODUCE_TIMEOUT = 2.0  # seconds; short, so that the SDKs see 503 and not only a slow answer
SECONDS = 90


async def begin(front: Front, sdk: str) -> Process:
    """A program in the middle of its work, with a project of its own."""
    front.registry.create_project(sdk, project_id=sdk)
    key = front.registry.create_key(sdk)
    environment = variables(sdk, addresses(front), key, LANGFUSE_TIMEOUT="60", LANGFUSE_FLUSH_INTERVAL="1")
    python = await asyncio.to_thread(python_with, sdk)
    process = await asyncio.create_subprocess_exec(
        python, PROGRAMS / "langfuse_steady.py", env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), SECONDS) == b"begun\n"
    return process


async def end(process: Process) -> int:
    """Tell it to end; how many observations it made."""
    printed, said = await asyncio.wait_for(process.communicate(b""), SECONDS)
    assert process.returncode == 0, said.decode()[-3000:]
    return int(printed)


def rows(stack: Stack, sdk: str) -> set[str]:
    found = stack.client.query(
        "SELECT name FROM observations WHERE project_id = {p:String}", parameters={"p": sdk}
    ).result_rows
    assert len(found) == len({name for (name,) in found}), "an observation is one row, however often it was sent"
    return {name for (name,) in found}


async def refused(front: Front) -> set[str]:
    """Which of the SDKs' routes have answered with 503 so far."""
    metrics = (await front.client.get("/metrics")).text
    counters = [line for line in metrics.splitlines() if '"503"' in line and "_created" not in line]
    return {route for route in ROUTES if any(route in line for line in counters)}


async def test_an_sdk_loses_nothing_when_the_broker_is_killed_and_comes_back(
    stack: Stack, kafka: LocalKafka, tmp_path: Path
) -> None:
    await asyncio.to_thread(stack.worker)
    connection = {"kafka_bootstrap": stack.settings.kafka_bootstrap, "topic_prefix": stack.settings.topic_prefix}
    async with running(tmp_path / "front", produce_timeout=PRODUCE_TIMEOUT, **connection) as front:
        await healthy(front)
        programs = {sdk: await begin(front, sdk) for sdk in SDKS}
        async with asyncio.timeout(SECONDS):
            while not all(rows(stack, sdk) for sdk in SDKS):
                await asyncio.sleep(0.1)
        await asyncio.to_thread(kafka.kill)
        try:
            async with asyncio.timeout(SECONDS):
                while await refused(front) != ROUTES:
                    await asyncio.sleep(0.1)
        finally:
            await asyncio.to_thread(kafka.start)
        made = {sdk: await end(program) for sdk, program in programs.items()}
        wanted = {sdk: {f"step-{number}" for number in range(count)} for sdk, count in made.items()}
        async with asyncio.timeout(SECONDS):
            while any(rows(stack, sdk) < wanted[sdk] for sdk in SDKS):
                await asyncio.sleep(0.2)
    assert {sdk: rows(stack, sdk) for sdk in SDKS} == wanted
