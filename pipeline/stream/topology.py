"""The fold worker, built from the sink backwards. One screen is the whole story:

topic overflow ─► (when there is room) ─┐
topic events ◄──────────────────────────┘
topic events ─► chunks ─► intake (decode, read back, fold) ─► flush (price, build, settle) ─► store ─► commit
                                                                 └─► dead letters, evaluations, moves
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics
from pipeline.metrics.tracing import Tracing
from pipeline.registry import Registry
from pipeline.store.client import connect
from pipeline.store.errors import blame
from pipeline.store.insert import Inserter
from pipeline.store.tables import DEAD_LETTERS, EDGE_COUNTS
from pipeline.stream.app import consumer_of, create_app
from pipeline.stream.archive import Archive
from pipeline.stream.chunk import Span
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.commit import commit_durable
from pipeline.stream.counted import CountedStore
from pipeline.stream.dead_letter_row import dead_letter_row
from pipeline.stream.edge_count_row import edge_count_row
from pipeline.stream.evaluation import Evaluation
from pipeline.stream.flush import Flush
from pipeline.stream.fresh import FreshFirst
from pipeline.stream.guard import Guard, prove
from pipeline.stream.guard import Limits as GuardLimits
from pipeline.stream.held import BESIDE
from pipeline.stream.intake import Intake
from pipeline.stream.load import load_of
from pipeline.stream.media import open_media
from pipeline.stream.outbox import Outbox
from pipeline.stream.overflow import Overflow
from pipeline.stream.pace import Pace
from pipeline.stream.partition import Limits
from pipeline.stream.pipeline import Pipeline
from pipeline.stream.prepare import Preparation
from pipeline.stream.pricebook import PriceShelf
from pipeline.stream.registry_book import RegistryBook
from pipeline.stream.retention import RetentionBook
from pipeline.stream.rulebook import RuleBook
from pipeline.stream.stages import Stages, stages_from_environment
from pipeline.stream.store_watch import StoreWatch
from pipeline.stream.topic_table import Copy, Letters, TopicTables, keep_in_topic


@dataclass(frozen=True, slots=True)
class FoldWorker:
    """The parts of a worker that somebody starts and stops."""

    app: Any
    pipeline: Pipeline
    outbox: Outbox
    books: tuple[RegistryBook, ...]
    stages: Stages
    overflow: Overflow
    watch: StoreWatch


def build_fold_worker(settings: Settings, registry: Registry, metrics: Metrics, tracing: Tracing) -> FoldWorker:
    """Wire a worker, on a running event loop. Blocks until ClickHouse answers; raises StoreError when it does not."""
    client = connect(settings)
    store = counted_store(client, metrics)
    outbox = Outbox(settings, store, metrics)
    rules = RuleBook(registry)
    stages = stages_from_environment(metrics)

    async def commit(chunks: Sequence[Span]) -> None:
        await commit_durable(app, ((chunk.tp, chunk.last) for chunk in chunks), metrics)
        for chunk in chunks:
            chunk.ack()

    prices = PriceShelf(registry, settings.prices_refresh)
    keep = open_media(settings, metrics)
    archive = Archive(client, prices, outbox.mover.partitions, settings.trace_bytes, metrics, keep.put)
    waits = Waits(settings.first, settings.hold, settings.rest)
    retention = RetentionBook(registry)
    collector = Collector(prices, rules, waits, stages, retention)
    intake = Intake(settings.max_event_bytes, stages, retention)
    limits, pace = _limits(settings), _pace(settings)
    share = settings.guard_share
    guard = Guard(
        GuardLimits(share, settings.guard_count, settings.guard_window),
        partial(prove, client, settings.max_event_bytes, share, prices),
    )
    flush = Flush(store, outbox, commit, archive.events_of, metrics, tracing, guard.fold_failed, settings.ledger_days)
    prepare = Preparation(prices.counter)
    aside = FreshFirst(settings.fresh_first, settings.overflow_topic, outbox.mover.partitions, most=outbox.mover.most)
    pipeline = Pipeline(
        archive, intake, collector, flush, limits, pace, stages,
        prepare=prepare, guard=guard.look, keep=keep, aside=aside, most=outbox.mover.most, metrics=metrics,
    )  # fmt: skip
    app = create_app(settings, "fold", [settings.events_topic], pipeline)
    overflow = Overflow(
        settings,
        outbox.mover,
        lambda: load_of(pipeline, lambda tp: consumer_of(app).ends(tp), settings.flush_events // 2),
        outbox.refuse,
    )
    return FoldWorker(app, pipeline, outbox, (rules, prices, retention), stages, overflow, StoreWatch(client, metrics))


def _limits(settings: Settings) -> Limits:
    """When traces settle and leave memory."""
    return Limits(
        quiet=settings.settle_quiet,
        idle=settings.settle_idle,
        longest=settings.settle_longest,
        traces=settings.resident_traces,
        bytes=settings.resident_bytes,
        open=settings.open_traces,
        trace_bytes=settings.trace_bytes,
    )


def _pace(settings: Settings) -> Pace:
    """When a flush begins, and when intake waits for it."""
    return Pace(
        interval=settings.flush_interval,
        flush_events=settings.flush_events,
        pending_events=settings.pending_events,
        pending_bytes=settings.pending_bytes,
        memory=settings.memory_bytes - BESIDE,
    )


@dataclass(frozen=True, slots=True)
class EvaluationWorker:
    """The parts of an evaluator. `tables` copies topics into tables beside, in an app and a group of its own."""

    app: Any
    evaluation: Evaluation
    tables_app: Any
    tables: TopicTables
    outbox: Outbox
    retention: RetentionBook
    watch: StoreWatch


def build_evaluation_worker(settings: Settings, registry: Registry, metrics: Metrics) -> EvaluationWorker:
    """Wire an evaluator, on a running event loop: requests ─► subjects from the views ─► scores ─► topic events."""
    client = connect(settings)
    store = counted_store(client, metrics)
    outbox = Outbox(settings, store, metrics)
    evaluation = Evaluation(settings, client, outbox, metrics)
    app = create_app(settings, "evaluate", [settings.evaluations_topic], evaluation)
    evaluation.commit_through(app)
    retention = RetentionBook(registry)
    tables = TopicTables(copies(settings, outbox.dead_letters, retention), store, metrics=metrics)
    tables_app = create_app(settings, "tables", tables.topics, tables)
    tables.commit_through(tables_app)
    return EvaluationWorker(app, evaluation, tables_app, tables, outbox, retention, StoreWatch(client, metrics))


def counted_store(client: Client, metrics: Metrics) -> CountedStore:
    """An inserter whose rows and retries are counted."""
    inserter = Inserter(client, on_retry=lambda _, error, __: metrics.add(Metric.STORE_RETRIES, 1, blame(error)))
    return CountedStore(inserter, metrics)


def copies(settings: Settings, letters: Letters, retention: RetentionBook) -> list[Copy]:
    """Which topics can be read by SQL, and how a record of each becomes a row."""
    letter_row = partial(dead_letter_row, until=retention.letters_until)
    return [
        Copy(settings.dead_letters_topic, DEAD_LETTERS, letter_row, keep_in_topic),
        Copy(settings.edge_counts_topic, EDGE_COUNTS, partial(edge_count_row, days=settings.ledger_days), letters),
    ]
