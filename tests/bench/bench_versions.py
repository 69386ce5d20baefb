"""How many versions of an observation's row are written, and how soon rows show what happened, on a simulated clock.

Traces of a root span over seven generations, one after the other, that arrive at any moment between flushes; every
event is sent when it happens. A flush takes no time here, so its real duration comes on top.
`python -m tests.bench.bench_versions [TRACES]`
"""

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pipeline.events.model import Micros
from pipeline.store import tables
from tests.bench.simulated import INTERVAL, SECOND, Said, created, ended, simulated, traced

GENERATIONS = 7
TRACES_PER_SECOND = 50
Length = Callable[[random.Random], float]  # seconds of one generation

LENGTHS: dict[str, Length] = {
    "0.1 s each": lambda _: 0.1,
    "0.1 to 0.9 s": lambda rng: rng.uniform(0.1, 0.9),
    "exponential, mean 0.5 s": lambda rng: min(max(rng.expovariate(2.0), 0.1), 5.0),
    "lognormal, median 1 s": lambda rng: min(max(rng.lognormvariate(0.0, 0.7), 0.1), 5.0),
    "0.1 to 5 s": lambda rng: rng.uniform(0.1, 5.0),
    "5 s each": lambda _: 5.0,
}


class Sent(NamedTuple):
    """An event and when it is sent, microseconds."""

    at: int
    said: Said


def trace(number: int, at: int, length: Length, rng: random.Random) -> list[Sent]:
    """One trace that begins at `at`."""
    name, root = f"trace-{number}", f"{number}-0"
    events = [Sent(at, traced(name, at)), Sent(at, created(name, root, None, at, "span"))]
    for step in range(1, GENERATIONS + 1):
        id_, end = f"{number}-{step}", at + int(length(rng) * SECOND)
        events += [Sent(at, created(name, id_, root, at)), Sent(end, ended(name, id_, end, step))]
        at = end
    return [*events, Sent(at, ended(name, root, at, 0, "span"))]


class Seen:
    """What the tables showed, and when."""

    def __init__(self) -> None:
        self.versions: defaultdict[str, int] = defaultdict(int)  # observation -> versions of its row
        self.first: dict[str, Micros] = {}  # trace -> its first row of any kind
        self.end: dict[str, Micros] = {}  # observation -> its first row that has its end
        self.last: dict[str, Micros] = {}  # observation -> its last row
        self.done: dict[str, Micros] = {}  # trace -> its first row that is not RUNNING
        self.trace_rows = 0

    def insert(self, table: str, rows: Sequence[Any], now: Micros) -> None:
        """The sink of the simulated worker."""
        if table == tables.TRACES:
            self.trace_rows += len(rows)
            for row in rows:
                self.first.setdefault(row.trace_id, now)
                if row.status != "RUNNING":
                    self.done.setdefault(row.trace_id, now)
        if table != tables.OBSERVATIONS:
            return
        for row in rows:
            self.first.setdefault(row.trace_id, now)
            self.versions[row.observation_id] += 1
            self.last[row.observation_id] = now
            if row.end_time is not None:
                self.end.setdefault(row.observation_id, now)


def run(traces: int, length: Length) -> dict[str, str]:
    """Simulate, and say what came out."""
    rng = random.Random(4)
    seen = Seen()
    with simulated(sink=seen.insert) as (worker, do):
        zero = worker.now
        starts = (zero + int(rng.random() * traces / TRACES_PER_SECOND * SECOND) for _ in range(traces))
        events = sorted(e for n, at in enumerate(starts) for e in trace(n, at, length, rng))
        rest = iter([*events, Sent(2**62, events[0].said)])
        following, flush_at = next(rest), Micros(zero + INTERVAL)
        while following.at < 2**62 or worker.partition.open:
            while following.at <= flush_at:
                worker.now = Micros(following.at)
                do(worker.take([following.said]))
                following = next(rest)
            do(worker.flush(flush_at))
            flush_at = Micros(flush_at + INTERVAL)
    return figures(seen, events)


def figures(seen: Seen, events: list[Sent]) -> dict[str, str]:
    """Versions per observation, and waits in seconds."""
    begun: dict[str, int] = {}
    over: dict[str, int] = {}  # observation or trace -> its last event
    for sent_at, (trace_id, id_, _) in events:
        begun.setdefault(trace_id, sent_at)
        over[trace_id] = sent_at
        if id_ != trace_id:
            over[id_] = sent_at
    roots = [versions for id_, versions in seen.versions.items() if id_.endswith("-0")]
    others = [versions for id_, versions in seen.versions.items() if not id_.endswith("-0")]
    return {
        "versions per observation": f"{sum(seen.versions.values()) / len(seen.versions):.2f}",
        "generations": f"{sum(others) / len(others):.2f}",
        "roots": f"{sum(roots) / len(roots):.2f}",
        "trace rows": f"{seen.trace_rows / len(begun):.2f}",
        "first row": _spread([seen.first[id_] - at for id_, at in begun.items()]),
        "end seen": _spread([seen.end[id_] - at for id_, at in over.items() if id_ in seen.end]),
        "last version": _spread([seen.last[id_] - at for id_, at in over.items() if id_ in seen.last]),
        "trace complete": _spread([seen.done[id_] - at for id_, at in over.items() if id_ in seen.done]),
    }


def _spread(waits: list[int]) -> str:
    waits.sort()
    return f"{waits[len(waits) // 2] / SECOND:.2f} / {waits[len(waits) * 99 // 100] / SECOND:.2f}"


def main(traces: int = 600) -> None:
    """Print a table; waits are p50 / p99 in seconds from the event to its row."""
    results = {name: run(traces, length) for name, length in LENGTHS.items()}
    columns = list(next(iter(results.values())))
    print("| generations take | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, result in results.items():
        print(f"| {name} | " + " | ".join(result.values()) + " |", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
