"""Memory for one million open traces of one event each: what is resident as they come, most of them asleep.

The real pipeline on a simulated clock, with default limits and with a tenth of the bytes; both at once, each in a
process of its own. Nothing settles meanwhile. `python -m tests.bench.bench_memory [TRACES]`; takes five minutes of CPU.
"""

import subprocess
import sys
import time
from collections.abc import Iterator

import orjson

from pipeline.stream.stages import peak_bytes
from pipeline.stream.worker import calm_collector
from tests.bench.simulated import SETTINGS, Said, batched, created, resident, simulated

PER_FLUSH = 7_500  # 18,750 events a second: a million come in 53 s, so that none was idle for long enough to settle
STEPS = 10
TENTH = 10
MiB = 2**20


def stream(traces: int) -> Iterator[Said]:
    """One observation begins in each trace."""
    for number in range(traces):
        yield created(f"{number:032x}", f"obs-{number:012d}", None, number)


def measure(traces: int, resident_bytes: int) -> None:
    """Print a line of JSON at each step, and one at the end."""
    calm_collector()
    before = resident()
    with simulated(resident_bytes=resident_bytes) as (worker, do):
        partition = worker.partition
        began = time.process_time()
        taken = 0
        for some in batched(stream(traces), PER_FLUSH):
            do(worker.take(some))
            do(worker.tick())
            taken += len(some)
            if taken * STEPS % traces < PER_FLUSH * STEPS:
                told = {
                    "open": len(partition.open), "in memory": len(partition.traces), "asleep": len(partition.sleeping),
                    "event bytes, MiB": partition.size / MiB, "resident, MiB": resident(),
                    "peak, MiB": peak_bytes() / MiB, "at start, MiB": before,
                    "CPU µs per event": (time.process_time() - began) / taken * 1e6,
                }  # fmt: skip
                print(orjson.dumps(told).decode(), flush=True)


def main(traces: int = 1_000_000, only: int = 0) -> None:
    """Both cases, each in a process of its own."""
    if only:
        measure(traces, only)
        return
    limits = (SETTINGS.resident_bytes, SETTINGS.resident_bytes // TENTH)
    commands = [[sys.executable, "-m", "tests.bench.bench_memory", str(traces), str(limit)] for limit in limits]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    for limit, run in zip(limits, runs, strict=True):
        print(f"SPANFOLD_RESIDENT_BYTES={limit}", flush=True)
        for line in run.communicate()[0].splitlines():
            print("   ", ", ".join(f"{name} {value:,.0f}" for name, value in orjson.loads(line).items()), flush=True)
        if run.returncode:
            raise SystemExit(run.returncode)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
