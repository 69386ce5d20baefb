"""The flush: everything that waits becomes durable, in an order that makes a crash at any point harmless.

1 archive the new events, 2 write the rows that are due, 3 send dead letters, records that belong elsewhere, and
evaluation requests, and only then say in the store that the traces asked about have settled, 4 write the offset ranges
of the chunks all of whose rows are durable now, 5 commit those. A crash before 5 makes Kafka deliver the chunks again.
Then 1 finds the events archived at the same offsets (nothing is counted twice), 2 writes the same rows under the same
version, 3 repeats messages that are idempotent by their content, and 4 says again what was done.
How it fails: a store or broker that says no is asked again for ever; rows that ClickHouse refuses for what is in them
become dead letters, alone.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol
from uuid import uuid4

from pipeline.evaluate.requests import EvaluationRequest
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.metrics.tracing import NO_TRACING, Tracing
from pipeline.store import tables
from pipeline.store.insert import Refused
from pipeline.store.lookups import Entity, RawEvent, TraceKey
from pipeline.store.retention import DEFAULT_DAYS, Kind
from pipeline.store.rows import OffsetRangeRow, TraceRow
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.collect import Collected
from pipeline.stream.counted import Laps, count_calls, count_events, count_freshness
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.exits import StopError
from pipeline.stream.moves import Move
from pipeline.stream.range_row import range_row
from pipeline.stream.refused import entities_of, refused_letters
from pipeline.stream.spoilt import failed_entities, failed_letters, fold_failures

_UNTOLD: dict[str, list[object]] = {
    name: [] for name in ("projects", "receivers", "minutes", "outcomes", "amounts", "places", "offsets")
}
Durable = list[tuple[Span, ChunkCount]]
Suspect = Callable[[int, Sequence[DeadLetter]], Awaitable[None]]
"""Told of so many events that our own code failed on; raises where that is a bad deploy's doing."""


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

    async def move(self, moves: Sequence[Move]) -> None:
        """To other partitions."""


class Flush:
    """Makes batches durable, one at a time."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        commit: Callable[[Sequence[Span]], Awaitable[None]],
        archived: Callable[[Sequence[Entity]], Awaitable[list[RawEvent]]],
        metrics: Metrics = UNSEEN,
        tracing: Tracing = NO_TRACING,
        guard: Suspect | None = None,
        ledger_days: int = DEFAULT_DAYS[Kind.LEDGER],
    ) -> None:
        """`ledger_days`: how long the offset ranges stay."""
        self._guard = guard
        self._store, self._outbox, self._commit, self._archived = store, outbox, commit, archived
        self._metrics, self._tracing, self._ledger_days = metrics, tracing, ledger_days

    async def write(self, batch: Batch, collected: Collected, done: Callable[[], Durable]) -> None:
        """Steps 1 to 5. `done` tells, once the rows are durable, which chunks have none that is not."""
        token = uuid4().hex  # a repetition of this insert leaves no second part; a redelivered chunk is another insert
        rows, metrics, laps = collected.rows, self._metrics, Laps(self._metrics, self._tracing)
        if self._guard is not None:  # before anything of it is durable
            await self._guard(fold_failures(batch.dead, collected.failed), batch.dead)
        asked = {(request.project_id, request.trace_id) for request in batch.requests}
        refused = await self._store.insert(tables.RAW_EVENTS, batch.archive, f"{token}/raw")  # 1
        laps.lap("archive")
        for table, some in (
            (tables.OBSERVATIONS, rows.observations),
            (tables.SCORES, rows.scores),
            (tables.TRACES, [_open(row) if _key(row) in asked else row for row in rows.traces]),
        ):
            refused += await self._store.insert(table, some, f"{token}/{table}")  # 2
        laps.lap("rows")
        count_calls(metrics, rows.observations)
        count_freshness(metrics, "stored", (chunk for part in batch.parts.values() for chunk, _ in part.chunks))
        if refused:
            batch.dead += refused_letters(refused, await self._archived(entities_of(refused)))
        if collected.failed:
            batch.dead += failed_letters(collected.failed, await self._archived(failed_entities(collected.failed)))
        await self._outbox.dead_letters(batch.dead)  # 3
        if batch.moves:
            await self._outbox.move(batch.moves)
        await self._outbox.evaluations(batch.requests)
        settled = [row for row in rows.traces if row.settled and _key(row) in asked]
        if settled:  # not before it was asked for: nobody looks for what a settled trace was not asked
            await self._store.insert(tables.TRACES, settled, f"{token}/settled")
        metrics.add(Metric.SETTLED, collected.settled)
        laps.lap("send")
        for part in collected.released:
            part.release()
        for part in batch.parts.values():
            part.flushed = True
        durable = done()
        await self._tell_ledger(_ranges(durable, self._ledger_days), token)  # 4
        laps.lap("ranges")
        await self._commit([chunk for chunk, _ in durable])  # 5
        laps.lap("commit")
        count_events(metrics, (count for _, count in durable))
        count_freshness(metrics, "committed", (chunk for chunk, _ in durable))
        laps.end(batch.events, observations=len(rows.observations), traces=len(rows.traces), chunks=len(durable))

    async def _tell_ledger(self, ranges: Sequence[OffsetRangeRow], token: str) -> None:
        """Of a row that is refused (a time that no column holds) the ledger gets the offsets and counts alone.

        Raises StopError where it does not take those: what the ledger does not know of must not be committed.
        """
        refused = await self._store.insert(tables.OFFSET_RANGES, ranges, f"{token}/ranges")
        if not refused:
            return
        bare = [each.row._replace(**_UNTOLD) for each in refused]
        if await self._store.insert(tables.OFFSET_RANGES, bare, f"{token}/bare"):
            raise StopError(
                f"ClickHouse refuses what the ledger has to know of {len(bare)} chunks; they are not committed.",
                remedy="The lines row_refused above this one tell the cause; mend it, then start again.",
            )


def _key(row: TraceRow) -> TraceKey:
    return row.project_id, row.trace_id


def _open(row: TraceRow) -> TraceRow:
    """The row of the same events before the trace settled."""
    return row._replace(settled=False, row_version=row.row_version - 1) if row.settled else row


def _ranges(durable: Durable, days: int) -> list[OffsetRangeRow]:
    now = time.time_ns() // 1000
    return [range_row(chunk, count, now, days) for chunk, count in durable if chunk.records]
