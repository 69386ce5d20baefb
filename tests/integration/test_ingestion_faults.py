"""The front door when Kafka is away, comes late, refuses, or the process is told to stop."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ingest.server import check_grpc_port, listen
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.topics import ensure_topics
from tests.fixtures.front_door import basic, batch, healthy, running, span, stored

pytestmark = pytest.mark.stack

SMALL_MESSAGE = 100_000


async def test_without_kafka_the_answer_is_503_and_nothing_is_claimed(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{find_free_port()}"
    async with running(tmp_path, kafka_bootstrap=nowhere, produce_timeout=0.5) as front:
        answer = await front.send(span(1))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert set(answer.json()) == {"message", "error"}
        answers = {
            path: await front.client.get(path) for path in ("/api/public/health", "/health/ready", "/health/live")
        }
        assert [answer.status_code for answer in answers.values()] == [503, 503, 200]
        assert answers["/health/ready"].json()["reasons"] == ["Kafka is not reachable."]
        assert (await front.client.get("/api/public/projects")).status_code == 200
        assert "spanfold_ingest_held_bytes 0.0" in (await front.client.get("/metrics")).text


async def test_when_kafka_restarts_the_same_front_door_goes_on(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    await ensure_topics(Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix))
    connection = {"kafka_bootstrap": kafka.bootstrap, "topic_prefix": topic_prefix}
    async with running(tmp_path, **connection, produce_timeout=1) as front:
        await healthy(front)
        assert (await front.send(span(1))).status_code == 207
        await asyncio.to_thread(kafka.stop)
        try:
            assert (await front.send(span(2))).status_code == 503
            assert (await front.client.get("/health")).status_code == 503
        finally:
            await asyncio.to_thread(kafka.start)
        await healthy(front)
        async with asyncio.timeout(30):
            while (await front.send(span(2))).status_code != 207:
                await asyncio.sleep(0.1)
        assert {json.loads(record.value)["id"] for record in await stored(front.settings)} == {"e1", "e2"}


@pytest.fixture
async def small_topic(kafka: LocalKafka, topic_prefix: str) -> str:
    """The prefix of an events topic that takes only small messages."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    config = {"max.message.bytes": str(SMALL_MESSAGE)}
    await admin.create_topics([NewTopic(f"{topic_prefix}.events", 1, 1, topic_configs=config)])
    await admin.close()
    return topic_prefix


async def test_an_event_that_kafka_refuses_is_413_and_the_next_ones_are_stored(
    kafka: LocalKafka, small_topic: str, tmp_path: Path
) -> None:
    huge = span(1, input=os.urandom(600_000).hex())
    async with running(
        tmp_path, kafka_bootstrap=kafka.bootstrap, topic_prefix=small_topic, topic_partitions=1
    ) as front:
        await healthy(front)
        answer = await front.send(huge, span(2))
        assert answer.status_code == 207
        assert [(e["id"], e["status"]) for e in answer.json()["errors"]] == [("e1", 413)]
        assert answer.json()["successes"] == [{"id": "e2", "status": 201}]
        assert (await front.send(span(3))).json()["successes"] == [{"id": "e3", "status": 201}]
        assert [json.loads(record.value)["id"] for record in await stored(front.settings)] == ["e2", "e3"]


async def test_sigterm_ends_the_process_well_and_everything_answered_is_stored(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, http_port=find_free_port(), data_dir=tmp_path
    )
    await ensure_topics(settings)
    variables = {
        "SPANFOLD_DATA_DIR": str(tmp_path),
        "SPANFOLD_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "SPANFOLD_TOPIC_PREFIX": topic_prefix,
        "SPANFOLD_HTTP_PORT": str(settings.http_port),
        "LANGFUSE_INIT_PROJECT_ID": "p",
        "LANGFUSE_INIT_PROJECT_PUBLIC_KEY": "pk-lf-init",
        "LANGFUSE_INIT_PROJECT_SECRET_KEY": "sk-lf-a-secret",
    }
    code = "import logging; logging.basicConfig(level='DEBUG'); from pipeline.config import Settings; "
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code + "from pipeline.ingest import serve; serve(Settings())",
        env={**os.environ, **variables},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{settings.http_port}",
            headers=basic("pk-lf-init", "sk-lf-a-secret"),
            trust_env=False,
        ) as client:
            answered = await _send_until_stopped(client, process)
        _, log = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, log.decode()
    assert b"sk-lf-a-secret" not in log
    found = {json.loads(record.value)["id"] for record in await stored(settings)}
    assert answered
    assert answered <= found


async def _send_until_stopped(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> set[str]:
    """Send from the moment it is healthy, ask it to stop on the way; the ids that were answered 201."""
    async with asyncio.timeout(60):
        while not await _is_healthy(client):
            await asyncio.sleep(0.05)
    answered: set[str] = set()
    for number in range(100_000):
        if number == 20:
            process.send_signal(signal.SIGTERM)
        try:
            answer = await client.post("/api/public/ingestion", content=batch(span(number)))
        except httpx.TransportError:
            break
        answered |= {success["id"] for success in answer.json()["successes"]}
    return answered


async def _is_healthy(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.TransportError:
        return False


def test_a_taken_port_is_an_error_that_says_what_to_set() -> None:
    with listen(Settings(http_port=0)) as taken:
        taken.listen()
        with pytest.raises(SettingError, match="SPANFOLD_HTTP_PORT"):
            listen(Settings(http_port=taken.getsockname()[1]))


def test_a_taken_port_of_grpc_is_told_before_anything_starts() -> None:
    with listen(Settings(http_port=0)) as taken:
        taken.listen()
        with pytest.raises(SettingError, match="SPANFOLD_GRPC_PORT"):
            check_grpc_port(Settings(grpc_port=taken.getsockname()[1]))
    check_grpc_port(Settings(grpc_port=-1))
