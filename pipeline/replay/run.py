"""A replay from its question to its report, beside a running stream and without losing to it.

Into the live tables:
1 The epoch is raised and workers are given time to take it (epoch.py).
2 Trace by trace: read the archived events, fold, write the rows under the new epoch (fold.py, write.py). What is done
  is remembered with every portion; the same command goes on there.
3 Traces of which a worker, in spite of 1, wrote or archived more than was read here are made once more.
Into the shadow tables the same without 1: their rows have the epoch that comes next, which swap.py publishes.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple, Self

import orjson
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ops.reprice.run import TAKEN_SECONDS
from pipeline.ops.retention.rules import read_rules
from pipeline.registry import Registry, open_registry
from pipeline.replay import epoch as epochs
from pipeline.replay.fold import Folder, Portion
from pipeline.replay.runs import DONE, LIVE, SHADOW, Run, asked, begun, check_no_swap, remember
from pipeline.replay.scope import NOTHING, Chosen, Scope, chosen, made, total
from pipeline.replay.shadow import drop_shadow, open_shadow
from pipeline.replay.write import Writer
from pipeline.store.client import connect
from pipeline.store.lookups import TraceKey
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream.media import open_media
from pipeline.stream.retention import RetentionBook

ROUNDS = 3  # of catching up: what is behind after them is in flight, and some worker's
TIMEOUT = 600.0  # seconds for one query
EXAMPLES = 20


class Question(NamedTuple):
    """What to replay. `until` is None for now."""

    start: datetime
    until: datetime | None
    project: str = ""
    traces: tuple[str, ...] = ()

    def text(self) -> str:
        """The same for the same question."""
        until = self.until.isoformat() if self.until else ""
        return asked(self.start.isoformat(), until, self.project, self.traces)

    @classmethod
    def of(cls, run: Run) -> Self:
        """What a run was asked."""
        start, until, project, traces = orjson.loads(run.scope)
        return cls(datetime.fromisoformat(start), datetime.fromisoformat(until) if until else None, project,
                   tuple(traces))  # fmt: skip

    def scope(self, until: int) -> Scope:
        """With its end, in microseconds."""
        return Scope(self.start, datetime.fromtimestamp(until / 1e6, UTC), self.project, self.traces)


class Options(NamedTuple):
    """How to replay. `wait`: seconds that workers get for taking a new epoch; 0 where none runs."""

    target: str = LIVE
    dry_run: bool = False
    restart: bool = False
    wait: float = TAKEN_SECONDS
    reason: str = "replay"


@dataclass(slots=True)
class Report:
    """What a replay came to. `skipped` (reason, trace) and `refused` hold examples, `counts` how many there were."""

    epoch: int
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, TraceKey]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    resumed_after: TraceKey = NOTHING
    events: int = 0  # folded by this process

    def add(self, portion: Portion, refused: Iterable[str], *, first: bool = True) -> None:
        """Count a portion in; `first`: its traces were not counted before."""
        self.events += portion.counts["events"]
        if first:
            self.counts.update(portion.counts)
            self.skipped += portion.skipped[: EXAMPLES - len(self.skipped)]
        for each in refused:
            self.counts["refused_rows"] += 1
            self.refused += [each][: EXAMPLES - len(self.refused)]


Progress = Callable[[Report, int], None]  # what there is so far, and about how many traces there are in all


class Place:
    """Where a replay works: clients and the registry, open while it runs."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self.settings = settings
        self.client: Client = connect(settings, deadline=5.0, timeout=TIMEOUT)
        stack.callback(self.client.close)
        self.registry: Registry = open_registry(settings.registry)
        stack.callback(self.registry.close)
        self._stack = stack
        self.keeps = RetentionBook(self.registry)
        asyncio.run(self.keeps.refresh())

    def shadow(self) -> Client:
        """A client of the shadow tables."""
        client = open_shadow(self.settings, TIMEOUT)
        self._stack.callback(client.close)
        return client


def replay(
    settings: Settings, question: Question, options: Options, progress: Progress = lambda *_: None
) -> tuple[Run, Report]:
    """Do all of it; with `dry_run` write nothing. Raises StoreError, RegistryError, SettingError."""
    if (question.until or datetime.now(UTC)) <= question.start:
        raise SettingError("--to (or now) is not after --from.", remedy="Give a time range that is not empty.")
    with ExitStack() as stack:
        place = Place(settings, stack)
        if options.dry_run:
            return _dry_run(place, question, progress)
        run = _begin(place, question, options)
        target = place.shadow() if options.target == SHADOW else None
        epochs.wait_until_taken(place.registry, options.wait if target is None else 0)
        work = Work(place, run, target, options.reason, progress)
        stack.callback(work.close)
        scope = question.scope(run.until)
        about = total(place.client, scope, run.after) + run.counts.get("traces", 0)
        report = work.fill(chosen(place.client, scope, run.after), about)
        if target is None:
            report.counts["made_twice"] += work.catch_up(scope, place.client)
        return work.remember(state=DONE), report


class Work:
    """One run's work, which may be asked for in several parts."""

    def __init__(self, place: Place, run: Run, target: Client | None, reason: str, progress: Progress) -> None:
        self._place, self._run, self._progress = place, run, progress
        price = epochs.pricer(place.registry, run.epoch)
        keep = open_media(place.settings)
        self._folder = Folder(place.client, price, place.settings.trace_bytes, place.keeps, keep.put)
        self._writer = Writer(place.client, target, run.epoch, reason, read_rules(place.registry))
        self._folding = ThreadPoolExecutor(1, "fold")  # always the same: each thread has memory of its own
        self.report = Report(run.epoch, Counter(run.counts), resumed_after=run.after)

    def close(self) -> None:
        """Stop its threads."""
        self._folding.shutdown(wait=False, cancel_futures=True)
        self._writer.close()

    def fill(self, traces: Iterator[Chosen], about: int, *, moving: bool = True) -> Report:
        """Make these anew; `moving`: remember how far that is."""
        began = time.monotonic()
        with _calm_collector():
            asyncio.run(self._fill(traces, about, moving, began))
        self.report.seconds = time.monotonic() - began
        return self.report

    def catch_up(self, scope: Scope, target: Client, epoch: int = 0) -> int:
        """Make those anew that lag behind the archive or the epoch where `target` looks; how many that were."""
        names: set[TraceKey] = set()
        for _ in range(ROUNDS):
            late = [each for each in behind(self._place.client, target, scope, epoch) if each.name not in names]
            if not late:
                break
            names.update(each.name for each in late)
            seconds = self.report.seconds
            self.fill(iter(late), len(late), moving=False)
            self.report.seconds += seconds
        return len(names)

    def remember(self, **changes: object) -> Run:
        """Store what has come of the run."""
        self._run = remember(self._place.client, self._run, counts=dict(self.report.counts), **changes)
        return self._run

    async def _fill(self, traces: Iterator[Chosen], about: int, moving: bool, began: float) -> None:
        """Fold the next portion while the last one is written."""
        portions, loop = self._folder.portions(traces), asyncio.get_running_loop()
        writing: asyncio.Task[None] | None = None
        try:
            while (portion := await loop.run_in_executor(self._folding, next, portions, None)) is not None:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(portion, about, moving, began))
        finally:
            if writing is not None:
                await writing

    async def _write(self, portion: Portion, about: int, moving: bool, began: float) -> None:
        refused = await self._writer.write(portion)
        self.report.add(portion, (f"{each.code}: {each.message}"[:300] for each in refused), first=moving)
        self.report.seconds = time.monotonic() - began
        if moving and portion.after is not None:
            await asyncio.to_thread(self.remember, after=portion.after)
        self._progress(self.report, about)


def behind(client: Client, target: Client, scope: Scope, epoch: int) -> Iterator[Chosen]:
    """Traces with rows made from fewer events than the archive has, overtaken, or under an epoch before this one."""
    traces = chosen(client, scope, NOTHING)
    while some := list(islice(traces, 2_000)):
        versions = made(target, some)
        for each in some:
            there = versions.get(each.name)
            if there is not None and (
                there.version % EPOCH_STEP // 2 < each.events
                or there.is_overtaken
                or there.version // EPOCH_STEP < epoch
            ):
                yield each


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Traces dissolve their own circles, so there is little to find for the garbage collector: it looks seldom."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def now() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


def _begin(place: Place, question: Question, options: Options) -> Run:
    """The run that goes on, or a new one."""
    text, target, newest = question.text(), options.target, epochs.newest_epoch(place.registry)
    run = None if options.restart else begun(place.client, text, target)
    if run is not None and run.epoch == (newest if target == LIVE else newest + 1):
        return run
    if target == LIVE:
        epoch = epochs.raise_epoch(place.registry, options.reason)
    else:
        check_no_swap(place.client)
        drop_shadow(place.client, place.settings)
        epoch = newest + 1
    return remember(place.client, Run(target, text, _end(question), epoch))


def _end(question: Question) -> int:
    """Microseconds."""
    return now() if question.until is None else int(question.until.timestamp() * 1e6)


def _dry_run(place: Place, question: Question, progress: Progress) -> tuple[Run, Report]:
    """Fold everything, write nothing."""
    epoch = epochs.newest_epoch(place.registry) + 1
    run = Run(LIVE, question.text(), _end(question), epoch)
    scope, report, began = question.scope(run.until), Report(epoch), time.monotonic()
    about = total(place.client, scope, NOTHING)
    folder = Folder(place.client, epochs.pricer(place.registry, epoch), place.settings.trace_bytes, place.keeps, None)
    for portion in folder.portions(chosen(place.client, scope, NOTHING)):
        report.add(portion, ())
        report.seconds = time.monotonic() - began
        progress(report, about)
    return run, report
