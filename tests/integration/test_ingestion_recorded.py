"""Every batch that unmodified Langfuse SDKs were recorded sending is accepted whole and stored byte for byte."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from pipeline.config import Settings
from pipeline.demo import recorded
from pipeline.local.kafka import LocalKafka
from pipeline.ops.topics import ensure_topics
from tests.fixtures.front_door import healthy, running, stored

pytestmark = pytest.mark.stack

RECORDED = Path(__file__).parents[1] / "recorded"
FOLDERS = {"2.60.10": recorded.FOLDER, "4.18.0": RECORDED / "langfuse-python-4.18.0"}


class Item(msgspec.Struct):
    """What the test needs to know of an event."""

    id: str
    type: str


class Batch(msgspec.Struct):
    """A recorded body."""

    batch: list[msgspec.Raw]


@pytest.mark.parametrize("client", FOLDERS)
async def test_recorded_batches_are_accepted_whole(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, client: str
) -> None:
    connection = {"kafka_bootstrap": kafka.bootstrap, "topic_prefix": topic_prefix}
    await ensure_topics(Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix))
    bodies = [path.read_bytes() for path in sorted(FOLDERS[client].glob("*_ingestion.json"))]
    assert bodies
    sent: Counter[bytes] = Counter()
    async with running(tmp_path, **connection) as front:
        await healthy(front)
        for body in bodies:
            raw = [bytes(event) for event in msgspec.json.decode(body, type=Batch).batch]
            events = [msgspec.json.decode(event, type=Item) for event in raw]
            answer = await front.client.post("/api/public/ingestion", content=body)
            assert answer.status_code == 207
            assert answer.json()["errors"] == []
            assert Counter(success["id"] for success in answer.json()["successes"]) == Counter(e.id for e in events)
            sent.update(value for value, event in zip(raw, events, strict=True) if event.type != "sdk-log")
        assert Counter(record.value for record in await stored(front.settings)) == sent
