"""What a flush writes of the traces in memory: whose rows are due, and who settles.

A trace is written as a whole when it settles, when it was quiet for a moment, when something of it has waited for long
enough, or when everything must out. Before that only what will hardly change again is: observations that have ended,
scores, the trace's own events; and what is open once it was held for `hold`. So an ordinary observation is written
once, while nobody waits long for a row to appear.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

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
    traces whose rows are due but need their content back first.
    """

    rows: Rows
    released: list[Part]
    wanted: list[tuple[Partition, bytes, list[str]]]
    settled: int = 0  # traces that settle with this flush


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
        built: list[tuple[TraceState, Built, bool]] = []
        released: list[Part] = []
        wanted_: list[tuple[Partition, bytes, list[str]]] = []
        settled_ = 0
        with self._stages.stage("build"):
            for partition in partitions:
                now = partition.clock()
                due = dict(partition.due(now))
                for key, state in self._candidates(partition, due):
                    want = self._want(state, due.get(key), everything or partition.is_settled(key), now)
                    if want is None:
                        continue
                    result = build(state, price, want)
                    certain = due.get(key)
                    settles = bool(certain) or (certain is False and result.ended)
                    if result.caught_up and (part := partition.caught_up(state, now)) is not None:
                        released.append(part)
                    if want.all and not result.complete:
                        partition.delayed(key, state, now, settles=settles)
                        if settles or not result.caught_up:
                            wanted_.append((partition, key, wanted(state)))
                    elif settles:
                        partition.settle(key)
                        settled_ += 1
                        batch.requests += self._requests(state)
                    built.append((state, result, partition.is_settled(key)))
                    if result.complete and (part := partition.written(key, state)) is not None:
                        released.append(part)
        with self._stages.stage("rows"):
            rows = Rows([], [], [])
            at = Micros(time.time_ns() // 1000)
            for state, result, settled in built:
                until = partial(self._until, state.project_id, state.trace_id)
                add_rows(rows, state, result, settled=settled, now=at, until=until)
        return Collected(rows, released, wanted_, settled_)

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
