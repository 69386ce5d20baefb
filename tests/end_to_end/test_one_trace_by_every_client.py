"""One trace, sent by every kind of client running for real, gives the same rows.

Each client sends tests/end_to_end/clients/scenario.json to a project of its own, through one front door, broker, worker
and store. All rows are held to one expectation, written by hand; what may differ is tests/fixtures/origin.py.
"""

import asyncio
from pathlib import Path

import pytest

from pipeline.local.ports import find_free_port
from tests.fixtures.client_rows import differences, rows_of
from tests.fixtures.front_door import Front, healthy, running, stored
from tests.fixtures.real_clients import CLIENTS, Client, Clock, addresses, run, variables
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = [pytest.mark.stack, pytest.mark.clients]

AT_ONCE = 2
SAID = {
    "LANGFUSE_TRACING_ENVIRONMENT": "staging", "LANGFUSE_RELEASE": "2026.11",
    "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2.3,deployment.environment.name=staging,langfuse.release=2026.11",
}  # fmt: skip


async def test_one_trace_gives_the_same_rows_whichever_client_sent_it(stack: Stack, tmp_path: Path) -> None:
    await asyncio.to_thread(stack.worker)
    connection = {"kafka_bootstrap": stack.settings.kafka_bootstrap, "topic_prefix": stack.settings.topic_prefix}
    async with running(tmp_path / "front", grpc_port=find_free_port(), **connection) as front:
        await healthy(front)
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as sending:
            for client in CLIENTS:
                sending.create_task(send(client, front, places))
        records = len(await stored(front.settings))
    await asyncio.to_thread(wait_until_stored, stack, records)
    found = {
        client.name: differences(rows_of(stack, client.name), client.name, told_the_time=client.clock is Clock.TOLD)
        for client in CLIENTS
    }
    assert found == {client.name: [] for client in CLIENTS}


async def send(client: Client, front: Front, places: asyncio.Semaphore) -> None:
    """Run a client with the keys of a project of its own."""
    front.registry.create_project(client.name, project_id=client.name)
    key = front.registry.create_key(client.name)
    async with places:
        await run(client, variables(client.name, addresses(front), key, **SAID))
