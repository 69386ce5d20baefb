"""The flush: everything that waits becomes durable, in an order that makes a crash at any point harmless.

1 archive the new events, 2 write the rows made from them, 3 send dead letters and evaluation requests, 4 write the
offset ranges, 5 commit. A crash before 5 makes Kafka deliver the chunks again. Then 1 finds the events archived at
the same offsets (nothing is counted twice), 2 writes the same rows under the same version, 3 repeats messages that
are idempotent by their content, and 4 says again what was done.
How it fails: a store or broker that says no is asked again for ever; rows that ClickHouse refuses for what is in them
become dead letters, alone.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import uuid4

from pipeline.evaluate.requests import EvaluationRequest
from pipeline.evaluate.sampling import RulesOf, requests_for
from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.fold.build import Built, build
from pipeline.fold.state import TraceState
from pipeline.store import tables
from pipeline.store.insert import Refused
from pipeline.store.rows import ObservationRow, OffsetRangeRow, ScoreRow, TraceRow
from pipeline.stream.batch import Batch
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.partition import Partition
from pipeline.stream.refused import refused_letters
from pipeline.stream.rows import rows_of
from pipeline.stream.stages import Stages


class Store(Protocol):
    """Where rows become durable; returns what was refused for good, everything else is stored."""

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """Insert all rows, for ever; the token makes a repetition leave no second part."""


class Outbox(Protocol):
    """Kafka topics that the flush writes to; each call returns when all are acknowledged."""

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """To the dead-letter topic."""

    async def evaluations(self, requests: Sequence[EvaluationRequest]) -> None:
        """To the evaluations topic."""


@dataclass(slots=True)
class Rows:
    """The rows of one flush."""

    traces: list[TraceRow]
    observations: list[ObservationRow]
    scores: list[ScoreRow]


class Flush:
    """Makes batches durable, one at a time."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        commit: Callable[[Batch], Awaitable[None]],
        prices: Callable[[], Pricer],
        rules: RulesOf,
        stages: Stages,
    ) -> None:
        self._store, self._outbox, self._commit = store, outbox, commit
        self._prices, self._rules, self._stages = prices, rules, stages

    def collect(self, batch: Batch, partitions: Sequence[Partition]) -> Rows:
        """Build the rows of all dirty traces and settle those whose time has come. No waiting: a snapshot."""
        now = Micros(time.time_ns() // 1000)
        rows = Rows([], [], [])
        price = self._prices()  # one book for the whole flush
        with self._stages.stage("build"):
            changed_keys = set(batch.dirty)
            due = _take_due(batch, partitions)
            changed = [
                self._build(batch, price, partition, key, due.get(key), key in changed_keys)
                for key, (partition, _) in batch.dirty.items()
            ]
        with self._stages.stage("rows"):
            for state, built, settled in filter(None, changed):
                traces, observations, scores = rows_of(state, built, settled=settled, now=now, epoch=price.epoch)
                rows.traces += traces
                rows.observations += observations
                rows.scores += scores
        return rows

    async def write(self, batch: Batch, rows: Rows) -> None:
        """Steps 1 to 5."""
        token = uuid4().hex  # a repetition of this insert leaves no second part; a redelivered chunk is another insert
        refused = await self._store.insert(tables.RAW_EVENTS, batch.archive, f"{token}/raw")  # 1
        for table, some in (
            (tables.OBSERVATIONS, rows.observations),
            (tables.SCORES, rows.scores),
            (tables.TRACES, rows.traces),
        ):
            refused += await self._store.insert(table, some, f"{token}/{table}")  # 2
        batch.dead.extend(refused_letters(refused, batch.archive))
        await self._outbox.dead_letters(batch.dead)  # 3
        await self._outbox.evaluations(batch.requests)
        await self._store.insert(tables.OFFSET_RANGES, _ranges(batch), f"{token}/ranges")  # 4
        await self._commit(batch)  # 5

    def _build(
        self, batch: Batch, price: Pricer, partition: Partition, key: bytes, due: bool | None, has_news: bool
    ) -> tuple[TraceState, Built, bool] | None:
        """What has to be written of a trace and whether it is settled; None where all of it is in the store.

        `due`: None, the trace is not quiet; False, it is quiet and settles if it has ended; True, it settles.
        `has_news`: events of this batch changed it. It can be quiet all the same, where the store kept it waiting.
        """
        state = partition.traces[key]
        built = build(state, price)
        if due or (due is False and built.trace.ended):
            partition.settle(key)
            batch.requests += self._requests(state)
        settled = partition.is_settled(key)
        if not has_news and not settled and not built.observations:
            return None  # quiet and still open
        return state, built, settled

    def _requests(self, state: TraceState) -> list[EvaluationRequest]:
        if not state.revision:
            return []  # nothing but scores: there is nothing to evaluate
        rules = self._rules(state.project_id)
        return requests_for(state.project_id, state.trace_id, state.revision, state.latest_at, rules)


def _take_due(batch: Batch, partitions: Sequence[Partition]) -> dict[bytes, bool]:
    """Traces whose time to settle has come, by key (see `_build`); they are dirty from now on."""
    due: dict[bytes, bool] = {}
    for partition in partitions:
        for key, certain in partition.due(time.monotonic()):
            due[key] = certain
            batch.dirty.setdefault(key, (partition, partition.traces[key]))
    return due


def _ranges(batch: Batch) -> list[OffsetRangeRow]:
    now = time.time_ns() // 1000
    return [
        OffsetRangeRow(
            topic=chunk.tp.topic,
            partition=chunk.tp.partition,
            first=chunk.records[0].offset,
            last=chunk.records[-1].offset,
            records=len(chunk.records),
            events=count.events,
            new=count.new,
            duplicate=count.duplicate,
            rejected=count.rejected,
            stored_at=now,
        )
        for chunk, count in batch.chunks
    ]
