"""Committing: what is durable is told to Kafka, up to the first chunk that is not."""

from collections.abc import Iterable
from typing import Any

from pipeline.metrics import Metric, Metrics
from pipeline.stream.app import consumer_of
from pipeline.stream.offsets import TopicPartition


async def commit_durable(app: Any, done: Iterable[tuple[TopicPartition, int]], metrics: Metrics) -> None:
    """Commit through the app's consumer. `done`: chunks that are finished, by partition and last offset.

    What Kafka refuses is counted and offered again by the next commit, if the partition is still ours by then.
    """
    consumer = consumer_of(app)
    for place, last in done:
        consumer.finish(place, last)
    accepted = await consumer.commit_finished()
    metrics.add(Metric.COMMITS, 1, "done" if accepted else "refused")
