"""Where a worker's CPU time goes, by stage, for `spanfold bench`.

Problem: the cost of one event is a few microseconds, less than it takes to measure it.
Rule: a stage is timed as a whole, over all records of a chunk or all traces of a flush, and only in code that does not
wait. The store's threads, which encode and send, are told by their name. What the process used beyond all of these is
the framework's: Faust's own thread that fetches, Kafka's client, the loop.
CPU time is off unless SPANFOLD_PROFILE_STAGES names a file. The wall time of a stage, which takes two readings of a
clock, goes to the metrics where there are any.
The file is JSON, CPU seconds: `stages` by name, and `ready` and `flushed` with `process` and `store` at these moments;
`peak_bytes` is the most memory that the process ever held.
"""

import json
import os
import resource
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal, get_args

from pipeline.metrics import Metric, Metrics
from pipeline.store.insert import THREADS

PROFILE_STAGES = "SPANFOLD_PROFILE_STAGES"
Stage = Literal["decode", "fold", "build", "rows"]

_NOTHING = nullcontext()


class _Wall:
    """Adds the wall time of a block to a stage's counter; one object for all of its blocks, which do not nest."""

    __slots__ = ("_began", "_metrics", "_name")

    def __init__(self, metrics: Metrics, name: Stage) -> None:
        self._metrics, self._name, self._began = metrics, name, 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._metrics.add(Metric.STAGE_SECONDS, time.perf_counter() - self._began, self._name)


class Stages:
    """CPU seconds by stage, when `path` is given; wall seconds into `metrics`. Use it on the loop's thread."""

    def __init__(self, path: Path | None = None, metrics: Metrics | None = None) -> None:
        self._path = path
        self._wall = {} if metrics is None else {name: _Wall(metrics, name) for name in get_args(Stage)}
        self._seconds: defaultdict[Stage, float] = defaultdict(float)
        self._marks: dict[str, dict[str, float]] = {}

    def stage(self, name: Stage) -> AbstractContextManager[None]:
        """Count the time of a block to a stage. The block must not await."""
        return self._wall.get(name, _NOTHING) if self._path is None else self._timed(name)

    def ready(self) -> None:
        """The worker has its partitions: what it used until now was its start."""
        self._mark("ready")

    def flushed(self) -> None:
        """A batch is durable and committed: what follows may be idleness."""
        self._mark("flushed")

    def write(self) -> None:
        """Write the file, when there is one to write."""
        if self._path is not None:
            self._path.write_text(json.dumps({**self._marks, "stages": self._seconds, "peak_bytes": peak_bytes()}))

    @contextmanager
    def _timed(self, name: Stage) -> Iterator[None]:
        began = time.thread_time()
        try:
            with self._wall.get(name, _NOTHING):
                yield
        finally:
            self._seconds[name] += time.thread_time() - began

    def _mark(self, name: str) -> None:
        if self._path is not None:
            self._marks[name] = {"process": time.process_time(), "store": threads_time(THREADS)}


def threads_time(prefix: str) -> float:
    """CPU seconds that the living threads with this prefix to their names have used."""
    idents = [thread.ident for thread in threading.enumerate() if thread.name.startswith(prefix)]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in idents if ident is not None)


def peak_bytes() -> int:
    """The most memory this process ever held (resident set)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def stages_from_environment(metrics: Metrics | None = None) -> Stages:
    """Stages that are written to the file which SPANFOLD_PROFILE_STAGES names, if it does."""
    path = os.environ.get(PROFILE_STAGES)
    return Stages(Path(path) if path else None, metrics)
