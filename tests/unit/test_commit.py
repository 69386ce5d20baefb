"""Committing what is durable: every chunk is finished before the commit, and what Kafka said is counted."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.metrics import Metric, Metrics
from pipeline.stream.commit import commit_durable
from pipeline.stream.offsets import TopicPartition

PLACE, OTHER = TopicPartition("events", 0), TopicPartition("events", 1)


class Counted(Metrics):
    """What was counted."""

    def __init__(self) -> None:
        self.added: list[tuple[Any, ...]] = []

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        self.added.append((metric, amount, *labels))


class Consumer:
    """What it was told, in order."""

    def __init__(self, accepts: bool) -> None:
        self.accepts = accepts
        self.told: list[Any] = []

    def finish(self, place: TopicPartition, last: int) -> None:
        self.told.append((place, last))

    async def commit_finished(self) -> bool:
        self.told.append("commit")
        return self.accepts


@pytest.mark.parametrize(("accepts", "said"), [(True, "done"), (False, "refused")])
async def test_all_chunks_are_finished_then_committed_and_the_answer_is_counted(accepts: bool, said: str) -> None:
    consumer, metrics = Consumer(accepts), Counted()
    await commit_durable(SimpleNamespace(consumer=consumer), [(PLACE, 9), (OTHER, 4), (PLACE, 12)], metrics)
    assert consumer.told == [(PLACE, 9), (OTHER, 4), (PLACE, 12), "commit"]
    assert metrics.added == [(Metric.COMMITS, 1, said)]
