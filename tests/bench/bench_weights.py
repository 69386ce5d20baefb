"""What a byte and an event take in memory, by holder: the weights of pipeline/stream/held.py and fold/state.py.

The real pipeline on a simulated clock takes events of several sizes, alone in their traces and eight observations to a
trace; Python's own account (tracemalloc) tells what that took, before the flush, at its peak, and of the traces that
stay. `python -m tests.bench.bench_weights`; half a minute.
"""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench.simulated import Said, batched, created, ended, simulated

SIZES = ((0, 6_000), (500, 6_000), (4_000, 3_000), (40_000, 500))  # characters of input or output, events
PER_TRACE = (1, 8)  # observations
CHUNK = 1_000
LIMITLESS = {
    "resident_bytes": 2**40, "trace_bytes": 2**40, "resident_traces": 2**40, "memory_bytes": 2**50,
    "settle_idle": 10**6, "settle_quiet": 10**6,
}  # fmt: skip
FLUSHES = 20  # until every row was written


class Weights(NamedTuple):
    """Bytes for each event: as received, as its trace counts it, and of memory."""

    received: float
    counted: float
    taken: float  # before the flush: trace and archive row
    peak: float  # while it is flushed
    stays: float  # of the trace, afterwards


def stream(events: int, text: int, per_trace: int, first: int = 0) -> Iterator[Said]:
    """Observations that begin and end; `first`: the number of the first trace."""
    for number in range(first, first + events // per_trace // 2):
        trace = f"{number:032x}"
        for place in range(per_trace):
            id_, parent = f"obs-{number:08d}{place:04d}", f"obs-{number:08d}0000" if place else None
            yield created(trace, id_, parent, number, text=text)
            yield ended(trace, id_, number, text=text)


def measure(events: int, text: int, per_trace: int) -> Weights:
    """What so many events take."""
    received = 0
    with simulated(**LIMITLESS) as (worker, do):
        for some in batched(stream(64, text, per_trace, first=10**6), 64):  # what is made once
            do(worker.take(some))
            do(worker.tick())
        gc.collect()
        tracemalloc.start()
        before = worker.partition.size
        for some in batched(stream(events, text, per_trace), CHUNK):
            received += sum(len(each.value) for each in some)
            do(worker.take(some))
        del some
        counted = worker.partition.size - before
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        do(worker.tick())
        peak = tracemalloc.get_traced_memory()[1]
        for _ in range(FLUSHES):
            do(worker.tick())
        gc.collect()
        stays = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return Weights(*(each / events for each in (received, counted, taken, peak, stays)))


def main() -> None:
    """A line for each size."""
    for text, events in SIZES:
        for per_trace in PER_TRACE:
            weights = measure(events, text, per_trace)
            told = ", ".join(f"{name} {value:,.0f}" for name, value in weights._asdict().items())
            print(
                f"{2 * per_trace} events a trace: {told}; {weights.stays / weights.counted:.2f} a counted byte",
                flush=True,
            )


if __name__ == "__main__":
    main()
