"""`spanfold bench`: 1 a scratch broker and store, 2 a full topic per run, 3 one worker over it, 4 what it cost.

Each run has topics, tables and a worker of its own, so that runs are alike and their spread tells how quiet the machine
is. CPU time, not elapsed time, is what is measured: it is nearly the same on a machine that does other things, too.
Fails with BenchError or RoleFailedError, each with the log to read. Configured by the options of the command; settings
that tune a worker (SPANFOLD_FLUSH_INTERVAL and others) are taken from the environment.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from pipeline.ops.bench.fill import fill
from pipeline.ops.bench.measure import plain_cost, worker_cost
from pipeline.ops.bench.report import Measured, print_json, print_tables
from pipeline.ops.bench.scratch import Installation, Scratch, scratch_stack
from pipeline.ops.bench.traffic import traffic, whole_traces

_PLAIN_EVENTS = 20_000  # the plain way takes its time


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """`events` of each run, rounded up to whole traces; `compare` measures the plain Faust agent, too."""

    events: int = 200_000
    runs: int = 3
    open_traces: int = 1_000
    compare: bool = False
    keep: bool = False  # the folder with logs and data


def run_bench(options: BenchOptions, *, as_json: bool) -> None:
    """Measure and print; progress goes to stderr. Raises SpanfoldError."""
    folder = Path(tempfile.mkdtemp(prefix="spanfold-bench-"))
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            measured = asyncio.run(_measure(options, folder, progress))
    finally:
        if options.keep:
            print(f"spanfold: logs and data are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    (print_json if as_json else print_tables)(measured)


async def _measure(options: BenchOptions, folder: Path, progress: Progress) -> Measured:
    async with scratch_stack(folder, progress.console.print) as scratch:
        bench = _Bench(options, scratch, progress)
        measured = Measured(whole_traces(options.events), options.open_traces)
        for number in range(1, options.runs + 1):  # the two ways in turn: both meet the same noise
            await bench.worker_run(measured, f"worker_{number}")
            if options.compare:
                await bench.plain_run(measured, f"plain_{number}")
        return measured


@dataclass(frozen=True, slots=True)
class _Bench:
    options: BenchOptions
    scratch: Scratch
    progress: Progress

    async def worker_run(self, measured: Measured, name: str) -> None:
        """The worker once."""
        installation, size = await self._filled(name, measured.events)
        measured.event_bytes = size / measured.events
        seen = self._bar(name, measured.events)
        measured.runs.append(await worker_cost(self.scratch, installation, measured.events, seen))

    async def plain_run(self, measured: Measured, name: str) -> None:
        """The plain Faust agent once, on fewer events of the same kind."""
        events = measured.plain_events = min(measured.events, whole_traces(_PLAIN_EVENTS))
        installation, _ = await self._filled(name, events)
        measured.plain.append(await plain_cost(self.scratch, installation, events, self._bar(name, events)))

    async def _filled(self, name: str, events: int) -> tuple[Installation, int]:
        """An installation with a full topic, and the bytes in it."""
        installation = await self.scratch.install(name)
        records = traffic(events, self.options.open_traces)
        return installation, await fill(installation.settings, records, self._bar(f"{name}: filling", events))

    def _bar(self, what: str, total: int) -> Callable[[int], None]:
        task = self.progress.add_task(what, total=total)
        return lambda done: self.progress.update(task, completed=done)
