"""Running a worker process: start, say when ready, stop on SIGTERM within a deadline with nothing lost.

Stopping: 1 no new chunks are taken, 2 what is in memory is flushed and committed, 3 Faust leaves the group; all before
one deadline, of which the last two seconds are kept for 3, so that others need not wait for the session timeout. What
does not make it is not committed and comes again.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop

from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics, Role, heap
from pipeline.metrics.tracing import open_tracing
from pipeline.stream.exits import guarded
from pipeline.stream.gauges import Consumers, Gauges, Together, show_partitions
from pipeline.stream.held import BESIDE
from pipeline.stream.outbox import Outbox
from pipeline.stream.start import begin
from pipeline.stream.status import has_joined, is_moving
from pipeline.stream.topology import build_evaluation_worker, build_fold_worker

log = structlog.get_logger(__name__)

STOP_DEADLINE = 8.0  # seconds for everything
LEAVE_WITHIN = 2.0  # seconds of it to leave the group
READY_FILE = "SPANFOLD_READY_FILE"

Watching = Callable[[Settings, Metrics, Callable[[], bool]], Coroutine[Any, Any, None]]


def run_worker(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT. Kafka, the store and the registry are waited for.

    Raises SpanfoldError where one of them refuses us, or the port for metrics cannot be had.
    """
    heap.keep_little()
    uvloop.run(_fold(settings))


def run_evaluator(settings: Settings, *watching: Watching) -> None:
    """Evaluate until SIGTERM or SIGINT, and these beside it, which are told whether this process is its group's first.

    Raises SpanfoldError as `run_worker`.
    """
    heap.keep_little()
    uvloop.run(_evaluate(settings, watching))


async def _fold(settings: Settings) -> None:
    metrics = Metrics(Role.WORKER, settings.instance_id)
    tracing = open_tracing(settings, Role.WORKER)
    async with begin(settings, metrics) as start:
        worker = build_fold_worker(settings, await start.registry(), metrics, tracing)
        pipeline, watch = worker.pipeline, worker.watch

        def look() -> None:
            show_partitions(metrics, pipeline.partitions.values())
            metrics.set(Metric.HELD_BYTES, BESIDE + pipeline.held().total)
            pipeline.pressure.count()
            watch.show()

        start.checks += [has_joined(pipeline.assigned), watch.complaint, is_moving(pipeline)]
        with watch.asking():
            await start.outbox(worker.outbox)
            for book in worker.books:
                await book.refresh()
            background = {
                "flush_failed": pipeline.run(),
                "overflow_failed": worker.overflow.run(),
                "gauges_failed": Gauges(metrics, Together(Consumers(worker.app), worker.overflow), look).run(),
                **{f"{book.name}_failed": book.run() for book in worker.books},
            }
            calm_collector()
            await _run_until_signal(worker.app, [pipeline.assigned], background, worker.outbox, pipeline.close)

    worker.stages.write()
    await asyncio.to_thread(tracing.close)


async def _evaluate(settings: Settings, watching: Sequence[Watching]) -> None:
    metrics = Metrics(Role.EVALUATOR, settings.instance_id)
    async with begin(settings, metrics) as start:
        worker = build_evaluation_worker(settings, await start.registry(), metrics)
        evaluation, tables, store_watch = worker.evaluation, worker.tables, worker.watch

        async def close(_deadline: float) -> None:
            await evaluation.close()
            await tables.close()
            await worker.tables_app.stop()

        assigned = [evaluation.assigned, tables.assigned]
        start.checks += [*map(has_joined, assigned), store_watch.complaint]
        with store_watch.asking():
            await start.outbox(worker.outbox)
            await worker.retention.refresh()
            background = {
                "retention_failed": worker.retention.run(),
                "tables_start_failed": worker.tables_app.start(),
                "tables_app_crashed": raise_crash(worker.tables_app),
                "tables_failed": tables.run(),
                "gauges_failed": Gauges(metrics, Consumers(worker.app, worker.tables_app), store_watch.show).run(),
            }
            for watch in watching:
                background[f"{watch.__name__}_failed"] = watch(settings, metrics, evaluation.is_first)
            await _run_until_signal(worker.app, assigned, background, worker.outbox, close)


async def _run_until_signal(
    app: Any,
    assigned: Sequence[asyncio.Event],
    background: dict[str, Coroutine[Any, Any, None]],
    outbox: Outbox,
    close: Callable[[float], Awaitable[None]],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = background | {
        "start_failed": app.start(),
        "ready_failed": say_ready(assigned),
        "app_crashed": raise_crash(app),
    }
    tasks = [guarded(event, each) for event, each in work.items()]
    await stop.wait()
    await _stop(app, outbox, close)
    for task in tasks:
        task.cancel()


def calm_collector() -> None:
    """What is alive now stays: the collector need not look at it again, and seldom at the rest.

    A trace that leaves memory dissolves its own circles, so there is little for the collector to find.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 50)


async def _stop(app: Any, outbox: Outbox, close: Callable[[float], Awaitable[None]]) -> None:
    """Stop in order, but not for longer than the deadline: Faust waits for ever, whoever cancels it."""
    log.info("stopping")
    flushed_by = asyncio.get_running_loop().time() + STOP_DEADLINE - LEAVE_WITHIN

    async def in_order() -> None:
        await close(flushed_by)
        await app.stop()
        await outbox.stop()

    stopping = asyncio.create_task(in_order())
    await asyncio.wait({stopping}, timeout=STOP_DEADLINE)
    if not stopping.done():
        log.warning("stopped_at_deadline", seconds=STOP_DEADLINE)
        os._exit(0)  # what was not committed is delivered again
    stopping.result()
    log.info("stopped")


async def say_ready(assigned: Sequence[asyncio.Event]) -> None:
    """Touch the file that a supervisor waits for, once this worker has its partitions of all its groups."""
    for event in assigned:
        await event.wait()
    log.info("ready")
    if path := os.environ.get(READY_FILE):
        await asyncio.to_thread(Path(path).touch)


async def raise_crash(app: Any) -> None:
    """Wait until Faust gives up and raise its reason: a worker without a consumer must not live on."""
    while app.crash_reason is None:  # mode offers no way to wait for it
        await asyncio.sleep(0.5)
    raise app.crash_reason
