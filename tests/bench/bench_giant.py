"""Giant traces beside ordinary ones: CPU of an event, rows written, memory. Every case runs in a process of its own.

The real pipeline on a simulated clock; see simulated.py. `python -m tests.bench.bench_giant [OBSERVATIONS] [DEPTH]`
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import orjson

from pipeline.store import tables
from pipeline.stream.stages import peak_bytes
from pipeline.stream.worker import calm_collector
from tests.bench.simulated import SECOND, Said, batched, created, ended, resident, simulated, traced

ORDINARY = 8  # observations of an ordinary trace
IN_FLIGHT = 3_000  # observations that are open at a time
STEP = SECOND // 1_000  # µs between the starts of two observations
MiB = 2**20


class Case(NamedTuple):
    """A stream of events; `per_flush` of them arrive in 0.4 s. `parent` gives an observation's parent by its number."""

    observations: int
    per_flush: int
    parent: Callable[[int], int | None]
    per_trace: int
    ends_reversed: bool = False
    trace_last: bool = False


def cases(fan: int, depth: int) -> dict[str, Case]:
    """By name."""
    return {
        "ordinary": Case(fan, 4_000, lambda n: None if n % ORDINARY == 0 else n // ORDINARY * ORDINARY, ORDINARY),
        "fan": Case(fan, 4_000, lambda n: 0 if n else None, fan),
        "fan, the trace's attributes last": Case(fan, 4_000, lambda n: 0 if n else None, fan, trace_last=True),
        "chain": Case(depth, 400, lambda n: n - 1 if n else None, depth),
        "chain, inner ends first": Case(depth, 400, lambda n: n - 1 if n else None, depth, ends_reversed=True),
        "ordinary, as few": Case(depth, 400, lambda n: None if n % ORDINARY == 0 else n // ORDINARY * ORDINARY,
                                 ORDINARY),
    }  # fmt: skip


class Stream:
    """A case's events, which can be made again."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __iter__(self) -> Iterator[Said]:
        """In the order of their arrival: the root's end comes last."""
        case = self._case
        traces = range(0, case.observations, case.per_trace)
        if not case.trace_last:
            yield from (traced(self._trace(n), n * STEP) for n in traces if case.per_trace > ORDINARY)
        yield from self._observations()
        if case.trace_last:
            yield from (traced(self._trace(n), n * STEP) for n in traces)

    def _observations(self) -> Iterator[Said]:
        case = self._case
        if case.ends_reversed:
            numbers = range(case.observations)
            yield from chain(map(self._create, numbers), map(self._end, reversed(numbers)))
            return
        roots = []
        for some in batched(range(case.observations), IN_FLIGHT):
            if case.per_trace == ORDINARY:
                yield from (traced(self._trace(n), n * STEP) for n in some if n % ORDINARY == 0)
            yield from map(self._create, some)
            roots += [n for n in some if case.parent(n) is None and case.per_trace > ORDINARY]
            yield from (self._end(n) for n in some if n not in roots)
        yield from map(self._end, roots)

    def again(self, id_: str) -> list[bytes]:
        """The events of one observation."""
        number = int(id_.removeprefix("obs-"))
        return [self._create(number).value, self._end(number).value]

    def _trace(self, number: int) -> str:
        return f"trace-{number // self._case.per_trace}"

    def _create(self, number: int) -> Said:
        parent = self._case.parent(number)
        return created(self._trace(number), _id(number), None if parent is None else _id(parent), number * STEP)

    def _end(self, number: int) -> Said:
        return ended(self._trace(number), _id(number), number * STEP + SECOND, number % 50)


def _id(number: int) -> str:
    return f"obs-{number:012d}"


def seconds_of(work: Callable[[], object]) -> float:
    """CPU."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(case: Case) -> dict[str, float]:
    """Run one case; µs of CPU per event by stage, rows, and MiB."""
    stream = Stream(case)
    calm_collector()
    before, events, waited, longest = resident(), 0, 0, 0.0
    with simulated(stream.again) as (worker, do):
        for some in batched(stream, case.per_flush):
            events += len(some)
            do(worker.take(some))
            longest = max(longest, seconds_of(lambda: do(worker.tick())))
        streamed = resident()
        began = time.process_time()
        partition = worker.partition
        while (partition.open or partition.unwritten) and waited < 1_000:
            longest = max(longest, seconds_of(lambda: do(worker.tick())))
            waited += 1
        stages, rows = worker.figures()
        at_end = resident()
        left = sum(state.shed for state in partition.traces.values()) / case.observations
    return {name: seconds / events * 1e6 for name, seconds in stages.items()} | {
        "events": events,
        "observation rows": rows[tables.OBSERVATIONS],
        "trace rows": rows[tables.TRACES],
        "versions": rows[tables.OBSERVATIONS] / case.observations,
        "CPU seconds of the longest flush": longest,
        "seconds until settled": waited * 0.4,
        "CPU seconds after the stream": time.process_time() - began,
        "MiB at start": before,
        "MiB after the stream": streamed,
        "MiB at the end": at_end,
        "MiB at the peak": peak_bytes() / MiB,
        "let go at the end": left,
    }


def main(fan: int = 100_000, depth: int = 5_000, only: str = "") -> None:
    """Print a line for each case."""
    if only:
        print(orjson.dumps(measure(cases(fan, depth)[only])).decode())
        return
    folding: dict[str, float] = {}
    for name in cases(fan, depth):
        command = [sys.executable, "-m", "tests.bench.bench_giant", str(fan), str(depth), name]
        figures = orjson.loads(subprocess.run(command, capture_output=True, check=True, timeout=600).stdout)
        folding[name] = figures["fold"] + figures["build"] + figures["rows"]
        ordinary = folding["ordinary"]
        print(
            f"{name}: fold + build + rows {folding[name]:.1f} µs per event, {folding[name] / ordinary:.2f} x ordinary"
        )
        print("   ", ", ".join(f"{key} {value:,.1f}" for key, value in figures.items()), flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]), *sys.argv[3:4])  # type: ignore[arg-type]
