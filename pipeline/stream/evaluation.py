"""The evaluator worker: requests in, score events out to the events topic, then the commit.

Scores go the way of everyone's scores. A crash between sending and committing repeats requests, and so sends the same
score events again: duplicates. A request that cannot be read becomes a dead letter.
How it fails: a store or broker that says no is asked again for ever.
"""

import asyncio
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.evaluate.requests import EvaluationRequest, decode_request
from pipeline.evaluate.scoring import portions, read_subjects, scores
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.model import Event
from pipeline.events.reasons import DecodeError
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.stream.chunk import Chunk
from pipeline.stream.commit import commit_durable
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.outbox import Message, Outbox
from pipeline.stream.persist import Cancelled, ask_store
from pipeline.stream.spoilt import decoder_failed

_HEADERS = ((headers.CONTENT_TYPE, headers.CANONICAL_JSON), (headers.RECEIVER, b"evaluator"))


class Evaluation:
    """Takes chunks of evaluation requests, one after the other."""

    def __init__(self, settings: Settings, client: Client, outbox: Outbox, metrics: Metrics = UNSEEN) -> None:
        self._settings, self._client, self._outbox, self._metrics = settings, client, outbox, metrics
        self.assigned = asyncio.Event()
        self._partitions: set[TopicPartition] = set()
        self._generation = 0
        self._app: Any = None

    def commit_through(self, app: Any) -> None:
        """The Faust app whose consumer commits."""
        self._app = app

    async def take(self, chunk: Chunk) -> None:
        """1 read the requests, 2 read their traces, some at a time, and send scores, 3 send dead letters, 4 commit."""
        generation, metrics = self._generation, self._metrics
        metrics.add(Metric.RECORDS, len(chunk.records))
        metrics.add(Metric.BYTES, sum(len(record.value or b"") for record in chunk.records))
        requests, dead = _requests(chunk)  # 1
        for some in portions(requests):
            try:
                subjects = await ask_store(  # 2
                    partial(read_subjects, self._client, some), lambda: generation != self._generation, metrics
                )
            except Cancelled:
                chunk.ack()  # the next owner gets these requests again
                return
            await self._outbox.send(self._settings.events_topic, scores(some, subjects, metrics), _message)
        await self._outbox.dead_letters(dead)  # 3
        await commit_durable(self._app, [(chunk.tp, chunk.records[-1].offset)], metrics)  # 4
        chunk.ack()

    async def partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Ready for chunks."""
        self._partitions |= partitions
        self._metrics.add(Metric.REBALANCES, 1, "assigned")
        self._metrics.set(Metric.PARTITIONS, len(self._partitions))
        self.assigned.set()

    async def partitions_revoked(self, partitions: set[TopicPartition], deadline: float) -> None:
        """Nothing waits between chunks; a chunk under way that waits for the store gives up."""
        self._metrics.add(Metric.REBALANCES, 1, "revoked")
        self._partitions -= partitions
        self._metrics.set(Metric.PARTITIONS, len(self._partitions))
        self.assigned.clear()
        self._generation += 1

    def is_first(self) -> bool:
        """True in one process of the group at a time: the one that holds the topic's first partition."""
        return any(tp.partition == 0 for tp in self._partitions)

    async def close(self) -> None:
        """Give up waiting for the store: what is under way comes again."""
        self._generation += 1


def _requests(chunk: Chunk) -> tuple[list[EvaluationRequest], list[DeadLetter]]:
    requests: list[EvaluationRequest] = []
    dead: list[DeadLetter] = []
    for record in chunk.records:
        try:
            requests.append(decode_request(record.value or b""))
        except DecodeError as error:
            dead.append(DeadLetter(record, error.reason, error.detail, "evaluate"))
        except Exception as error:  # our own mistake, which must not stop the partition for ever
            dead.append(decoder_failed(record, error, "evaluate"))
    return requests, dead


def _message(event: Event) -> Message:
    return Message(record_key(event.project_id, event.trace_id), to_canonical_json(event), _HEADERS)
