"""The one producer: which refusals cost it, and which do not."""

from typing import Any

import pytest
from aiokafka.errors import KafkaError, NotEnoughReplicasError, TopicAuthorizationFailedError

from pipeline.config import Settings
from pipeline.ingest.kafka_link import KafkaLink


class Producer:
    """Refuses."""

    def __init__(self, error: KafkaError) -> None:
        self._error = error

    async def send_and_wait(self, topic: str, value: bytes) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kept"),
    [(TopicAuthorizationFailedError("edge-counts"), True), (NotEnoughReplicasError(), False)],
)
async def test_a_topic_that_may_not_be_written_costs_the_events_no_producer(error: KafkaError, kept: bool) -> None:
    link = KafkaLink(Settings())
    producer: Any = Producer(error)
    link._producer = producer
    assert not await link.publish("edge-counts", b"{}")
    assert (link._producer is producer) is kept
