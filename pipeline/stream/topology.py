"""The fold worker, built from the sink backwards. One screen is the whole story:

topic overflow ─► (when there is room) ─┐
topic events ◄──────────────────────────┘
topic events ─► chunks ─► intake (decode, read back, fold) ─► flush (price, build, settle) ─► store ─► commit
                                                                 └─► dead letters, evaluations, moves
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.blobs import MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.registry import Registry
from pipeline.store.client import connect
from pipeline.store.insert import Inserter
from pipeline.store.tables import DEAD_LETTERS
from pipeline.stream.app import consumer_of, create_app
from pipeline.stream.archive import Archive
from pipeline.stream.chunk import Span
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.dead_letter_row import dead_letter_row
from pipeline.stream.evaluation import Evaluation
from pipeline.stream.flush import Flush
from pipeline.stream.fresh import FreshFirst
from pipeline.stream.intake import Intake
from pipeline.stream.load import load_of
from pipeline.stream.media import MediaKeeper
from pipeline.stream.outbox import Outbox
from pipeline.stream.overflow import Overflow
from pipeline.stream.partition import Limits
from pipeline.stream.pipeline import Pace, Pipeline
from pipeline.stream.prepare import Preparation
from pipeline.stream.pricebook import PriceShelf
from pipeline.stream.retention import RetentionBook
from pipeline.stream.rulebook import RuleBook
from pipeline.stream.stages import Stages, stages_from_environment
from pipeline.stream.topic_table import Copy, TopicTables, keep_in_topic


@dataclass(frozen=True, slots=True)
class FoldWorker:
    """The parts of a worker that somebody starts and stops."""

    app: Any
    pipeline: Pipeline
    outbox: Outbox
    rules: RuleBook
    prices: PriceShelf
    retention: RetentionBook
    stages: Stages
    overflow: Overflow


def build_fold_worker(settings: Settings, registry: Registry) -> FoldWorker:
    """Wire a worker, on a running event loop. Blocks until ClickHouse answers; raises StoreError when it does not."""
    client = connect(settings)
    store = Inserter(client)
    outbox = Outbox(settings)
    rules = RuleBook(registry)
    stages = stages_from_environment()

    async def commit(chunks: Sequence[Span]) -> None:
        consumer = consumer_of(app)
        for chunk in chunks:
            consumer.finish(chunk.tp, chunk.last)
        await consumer.commit_finished()
        for chunk in chunks:
            chunk.ack()

    prices = PriceShelf(registry)
    archive = Archive(client, prices, outbox.mover.partitions, settings.trace_bytes)
    flush = Flush(store, outbox, commit, archive.events_of)
    waits = Waits(settings.first, settings.hold, settings.rest)
    retention = RetentionBook(registry)
    collector = Collector(prices, rules, waits, stages, retention)
    intake = Intake(settings.max_event_bytes, stages, retention)
    limits = Limits(
        quiet=settings.settle_quiet,
        idle=settings.settle_idle,
        longest=settings.settle_longest,
        traces=settings.resident_traces,
        bytes=settings.resident_bytes,
        open=settings.open_traces,
        trace_bytes=settings.trace_bytes,
    )
    pace = Pace(
        interval=settings.flush_interval,
        flush_events=settings.flush_events,
        pending_events=settings.pending_events,
        pending_bytes=settings.pending_bytes,
    )
    keep = MediaKeeper(MediaStore(open_blobs(settings.blobs)))
    prepare = Preparation(prices.counter)
    aside = FreshFirst(settings.fresh_first, settings.overflow_topic, outbox.mover.partitions)
    pipeline = Pipeline(
        archive, intake, collector, flush, limits, pace, stages, prepare=prepare, keep=keep, aside=aside
    )
    app = create_app(settings, "fold", [settings.events_topic], pipeline)
    overflow = Overflow(
        settings,
        outbox.mover,
        lambda: load_of(pipeline, lambda tp: consumer_of(app).ends(tp), settings.flush_events // 2),
    )
    return FoldWorker(app, pipeline, outbox, rules, prices, retention, stages, overflow)


@dataclass(frozen=True, slots=True)
class EvaluationWorker:
    """The parts of an evaluator. `tables` copies topics into tables beside, in an app and a group of its own."""

    app: Any
    evaluation: Evaluation
    tables_app: Any
    tables: TopicTables
    outbox: Outbox


def build_evaluation_worker(settings: Settings) -> EvaluationWorker:
    """Wire an evaluator, on a running event loop: requests ─► subjects from the views ─► scores ─► topic events."""
    client = connect(settings)
    outbox = Outbox(settings)
    evaluation = Evaluation(settings, client, outbox)
    app = create_app(settings, "evaluate", [settings.evaluations_topic], evaluation)
    evaluation.commit_through(app)
    tables = TopicTables(copies(settings), Inserter(client))
    tables_app = create_app(settings, "tables", tables.topics, tables)
    tables.commit_through(tables_app)
    return EvaluationWorker(app, evaluation, tables_app, tables, outbox)


def copies(settings: Settings) -> list[Copy]:
    """Which topics can be read by SQL, and how a record of each becomes a row."""
    return [Copy(settings.dead_letters_topic, DEAD_LETTERS, dead_letter_row, keep_in_topic)]
