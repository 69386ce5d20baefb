"""What a flush counts: once for each flush, however many events it has.

Rows are counted after the store has acknowledged them, events when their chunk is about to be committed; so each figure
is of what is durable, and a crash may make it count twice what came twice.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

from pipeline.metrics import Metric, Metrics
from pipeline.metrics.tracing import Step as Lap
from pipeline.metrics.tracing import Tracing
from pipeline.store.insert import Inserter, Refused
from pipeline.store.rows import ObservationRow
from pipeline.stream.chunk import ChunkCount, Span

CALLS = frozenset({"GENERATION", "EMBEDDING"})
_MICRO, _NANO = 1e6, 1e9
_call = attrgetter("type", "cost_source", "usage_source")

Step = Literal["archive", "rows", "send", "ranges", "commit"]
Stage = Literal["decoded", "stored", "committed"]


class Laps:
    """A stopwatch for the steps of one flush: into the metrics, and into a trace where one is wanted."""

    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._metrics, self._tracing = metrics, tracing
        self._wall = time.time_ns() - time.perf_counter_ns()
        self._began = self._last = time.perf_counter_ns()
        self._steps: list[Lap] = []

    def lap(self, step: Step) -> None:
        """What passed since the last lap was this step."""
        last, self._last = self._last, time.perf_counter_ns()
        self._metrics.add(Metric.STEP_SECONDS, (self._last - last) / _NANO, step)
        self._steps.append(self._step(step, last))

    def end(self, events: int, **counts: int) -> None:
        """The flush is over; so many events had come. `counts` are what else the trace tells."""
        self._metrics.observe(Metric.FLUSH_SECONDS, (self._last - self._began) / _NANO)
        self._metrics.observe(Metric.FLUSH_EVENTS, events)
        attributes = {f"spanfold.{name}": count for name, count in {"events": events, **counts}.items()}
        self._tracing.tell(self._step("flush", self._began), self._steps, attributes)

    def _step(self, name: str, began: int) -> Lap:
        return Lap(name, self._wall + began, self._wall + self._last)


class CountedStore:
    """An inserter that counts the rows that are stored, and those that are not for good."""

    def __init__(self, inserter: Inserter, metrics: Metrics) -> None:
        self._inserter, self._metrics = inserter, metrics

    async def insert(self, table: str, rows: Sequence[NamedTuple], token: str) -> list[Refused]:
        """As the inserter's."""
        refused = await self._inserter.insert(table, rows, token)
        self._metrics.add(Metric.ROWS, len(rows) - len(refused), table)
        for code, count in Counter("known" if each.is_known else "unknown" for each in refused).items():
            self._metrics.add(Metric.REFUSED, count, table, code)
        return refused


def count_calls(metrics: Metrics, rows: Iterable[ObservationRow]) -> None:
    """Calls of models that have ended, by where their cost and their usage come from."""
    ended = (row for row in rows if row.end_time is not None)
    for (type_, cost, usage), count in Counter(map(_call, ended)).items():
        if type_ in CALLS:
            metrics.add(Metric.CALLS, count, cost, usage)


def count_freshness(metrics: Metrics, stage: Stage, chunks: Iterable[Span]) -> None:
    """How long after the broker's append this stage was reached; a chunk counts as its oldest record."""
    now = time.time_ns() // 1000
    for chunk in chunks:
        if chunk.appended:
            age = max(0, now - chunk.appended) / _MICRO
            metrics.observe(Metric.FRESHNESS, age, stage, count=chunk.records)


def count_events(metrics: Metrics, counts: Iterable[ChunkCount]) -> None:
    """What became of the events of chunks."""
    new = duplicate = rejected = 0
    for count in counts:
        new, duplicate, rejected = new + count.new, duplicate + count.duplicate, rejected + count.rejected
    for outcome, number in (("new", new), ("duplicate", duplicate), ("rejected", rejected)):
        metrics.add(Metric.EVENTS, number, outcome)
