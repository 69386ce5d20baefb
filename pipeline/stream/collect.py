"""What a flush writes of the traces in memory: whose rows are due, and who settles.

A trace is written as a whole when it settles, when it was quiet for a moment, when something of it has waited for long
enough, or when everything must out. Before that only what will hardly change again is: observations that have ended,
scores, the trace's own events; and what is open once it was held for `hold`. So an ordinary observation is written
once, while nobody waits long for a row to appear.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from pipeline.evaluate.requests import EvaluationRequest
from pipeline.evaluate.sampling import RulesOf, requests_for
from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.fold.build import Want, build, has_ended
from pipeline.fold.shed import wanted
from pipeline.fold.state import TraceState
from pipeline.fold.views import Built
from pipeline.stream.batch import Batch
from pipeline.stream.part import Part
from pipeline.stream.partition import SECOND, Partition
from pipeline.stream.retention import KeepForEver, Keeps
from pipeline.stream.rows import Rows, add_rows
from pipeline.stream.spoilt import Failed, tell, throw_out
from pipeline.stream.stages import Stages

ROWS_PER_SECOND = 2_000  # how fast one giant trace may rewrite rows that follow from others
LONGEST_WAIT = 60 * SECOND  # for such rows, whatever the size of the trace


class Waits(NamedTuple):
    """How long rows may wait, in seconds."""

    first: float  # the first row of a trace, for more that comes with its first event
    hold: float  # an open observation, for its end
    rest: float  # what follows from other rows (sums, places, attributes, totals), while its trace is lively


class Collected(NamedTuple):
    """The rows of one flush.

    `released` are the parts that traces no longer hold once these are durable; `wanted` are observations of giant
    traces whose rows are due but need their content back first; `failed` are traces that our own code failed on.
    """

    rows: Rows
    released: list[Part]
    wanted: list[tuple[Partition, bytes, list[str]]]
    settled: int = 0  # traces that settle with this flush
    failed: Sequence[Failed] = ()


class _Place(NamedTuple):
    """A trace that is looked at; `certain` as in Partition.due."""

    partition: Partition
    key: bytes
    state: TraceState
    certain: bool | None
    now: Micros


class _Built(NamedTuple):
    """What was built of a trace."""

    partition: Partition
    key: bytes
    state: TraceState
    built: Built
    settled: bool
    settles: bool  # with this flush


class _Found(NamedTuple):
    """What a look at all traces found."""

    built: list[_Built]
    released: list[Part]
    wanted: list[tuple[Partition, bytes, list[str]]]
    failed: list[Failed]

    def fail(self, partition: Partition, key: bytes, state: TraceState, error: Exception, stage: str) -> None:
        """Put a trace aside; what it held is released with this flush, which writes its dead letter."""
        name = (state.project_id, state.trace_id)
        tell(error, stage, name)
        self.failed.append(Failed(name, stage, repr(error), len(state.seen)))
        if (held := throw_out(partition, key)) is not None:
            self.released.append(held)


class Collector:
    """Builds rows at a moment; nothing here waits."""

    def __init__(
        self,
        prices: Callable[[], Pricer],
        rules: RulesOf,
        waits: Waits,
        stages: Stages,
        keeps: Keeps | None = None,
    ) -> None:
        self._prices, self._rules, self._stages = prices, rules, stages
        self._until = (keeps or KeepForEver()).rows_until
        self._first = int(waits.first * SECOND)
        self._hold = int(waits.hold * SECOND)
        self._rest = int(waits.rest * SECOND)

    def collect(self, batch: Batch, partitions: Sequence[Partition], *, everything: bool = False) -> Collected:
        """The rows that are due now, of all partitions; settling traces add their requests to the batch."""
        price = self._prices()
        found = _Found([], [], [], [])
        with self._stages.stage("build"):
            for partition in partitions:
                now = partition.clock()
                due = dict(partition.due(now))
                for key, state in self._candidates(partition, due):
                    want = self._want(state, due.get(key), everything or partition.is_settled(key), now)
                    if want is None:
                        continue
                    try:
                        self._build(found, batch, _Place(partition, key, state, due.get(key), now), price, want)
                    except Exception as error:  # our own mistake, which must not stop the others
                        found.fail(partition, key, state, error, "build")
        with self._stages.stage("rows"):
            rows = self._rows(found, batch)
        return Collected(rows, found.released, found.wanted, sum(each.settles for each in found.built), found.failed)

    def _build(self, found: "_Found", batch: Batch, place: "_Place", price: Pricer, want: Want) -> None:
        """What is due of one trace."""
        partition, key, state, certain, now = place
        if (error := partition.unfit.get(key)) is not None:
            raise error
        result = build(state, price, want)
        settles = bool(certain) or (certain is False and result.ended)
        if result.caught_up and (part := partition.caught_up(state, now)) is not None:
            found.released.append(part)
        if want.all and not result.complete:
            partition.delayed(key, state, now, settles=settles)
            if settles or not result.caught_up:
                found.wanted.append((partition, key, wanted(state)))
            settles = False
        elif settles:
            requests = self._requests(state)
            partition.settle(key)
            batch.requests += requests
        found.built.append(_Built(partition, key, state, result, partition.is_settled(key), settles))
        if result.complete and (part := partition.written(key, state)) is not None:
            found.released.append(part)

    def _rows(self, found: "_Found", batch: Batch) -> Rows:
        """The rows of what was built; all of a trace or none."""
        rows = Rows([], [], [])
        at = Micros(time.time_ns() // 1000)
        for partition, key, state, result, settled, _ in found.built:
            all_: tuple[list[Any], ...] = rows
            lengths = [len(some) for some in all_]
            try:
                until = partial(self._until, state.project_id, state.trace_id)
                add_rows(rows, state, result, settled=settled, now=at, until=until)
            except Exception as error:
                for some, length in zip(all_, lengths, strict=True):
                    del some[length:]
                name = (state.project_id, state.trace_id)
                batch.requests = [each for each in batch.requests if (each.project_id, each.trace_id) != name]
                found.fail(partition, key, state, error, "rows")
        return rows

    def _candidates(self, partition: Partition, due: dict[bytes, bool]) -> list[tuple[bytes, TraceState]]:
        """Traces with rows that are out of date, and clean ones that may settle."""
        some = list(partition.unwritten.items())
        some += [(key, partition.traces[key]) for key in due if key not in partition.unwritten]
        return some

    def _want(self, state: TraceState, due: bool | None, everything: bool, now: Micros) -> Want | None:
        """How much of a trace is written now; None for nothing.

        `due`: None, the trace is not quiet; False, it is quiet and settles if it has ended; True, it settles.
        """
        if due is False and state.holder is None and not state.rewrite:
            return Want() if has_ended(state) else None  # all of it is in the store
        held = state.held_since
        if (
            everything
            or due is not None
            or now - state.heard >= self._hold
            or now - state.unwritten_since >= self._patience(state)
        ):
            return Want()
        waited = now - state.unwritten_since
        if state.ready or (state.urgent and waited > self._first) or (held and now - held >= self._hold):
            return Want(False, Micros(now - self._hold))
        return None

    def _patience(self, state: TraceState) -> int:
        """Longest wait of a row that follows from others, microseconds: in a giant trace such rows are many."""
        return min(max(self._rest, len(state.observations) * SECOND // ROWS_PER_SECOND), LONGEST_WAIT)

    def _requests(self, state: TraceState) -> list[EvaluationRequest]:
        if not state.revision:
            return []  # nothing but scores: there is nothing to evaluate
        rules = self._rules(state.project_id)
        return requests_for(state.project_id, state.trace_id, state.revision, state.latest_at, rules)
