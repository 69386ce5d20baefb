"""Pricing history again, beside a running stream and without losing to it.

1 The newest document is published on this version's base book, unless it is: that gives the epoch.
2 Workers look for a new book every 5 s and use one book per flush; TAKEN_SECONDS after a book was published they all
  have it, or the registry does not answer them. Then a row that is written later has the new epoch and, made from more
  events, wins over what is written here.
3 Piece by piece: read, compute, write (write.py). Only rows of older epochs that come out different are written, as
  made from the same events under the new epoch. The same command again continues, and in the end changes nothing.
4 Where a worker could not take the new book in time and wrote a fuller row under the old one, the trace is named: it
  has to be folded again from the archive.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.book import PriceBook
from pipeline.cost.document import EMPTY, check_document
from pipeline.cost.price import ObservationPricer
from pipeline.errors import SpanfoldError
from pipeline.ops.reprice.pieces import Piece, Scope, pieces, sql
from pipeline.ops.reprice.rows import stored_traces
from pipeline.ops.reprice.values import Revised, revise
from pipeline.ops.reprice.write import Writer
from pipeline.ops.retention.rules import read_rules
from pipeline.registry import Registry, open_registry
from pipeline.store.client import connect

TAKEN_SECONDS = 20.0  # refresh (5 s), the registry's answer, the longest a flush holds rows (5 s), writing, and room


class OvertakenError(SpanfoldError):
    """A worker wrote with an older book after all."""


@dataclass(slots=True)
class ModelSum:
    """One model's line of the report; USD, unknown costs as 0."""

    rows: int = 0
    changed: int = 0
    old: Decimal = Decimal(0)
    new: Decimal = Decimal(0)
    unknown: int = 0


@dataclass(slots=True)
class Report:
    """What a run came to."""

    epoch: int
    models: dict[str, ModelSum] = field(default_factory=dict)
    rows_written: int = 0
    traces_written: int = 0
    overtaken: list[tuple[str, str]] = field(default_factory=list)

    def add(self, revised: Revised) -> None:
        """Count a trace in."""
        for row, priced in revised.priced:
            line = self.models.setdefault(row.model, ModelSum())
            line.rows += 1
            line.changed += priced.cost != row.cost
            line.old += row.total_cost or 0
            line.new += priced.total_cost or 0
            line.unknown += priced.total_cost is None
        self.rows_written += len(revised.observations)
        self.traces_written += revised.trace is not None


Progress = Callable[[int, int, Report], None]


def reprice(
    settings: Settings,
    scope: Scope,
    *,
    dry_run: bool = False,
    wait: float = TAKEN_SECONDS,
    reason: str = "",
    progress: Progress = lambda *_: None,
) -> Report:
    """Do all of it; with `dry_run` write nothing, publish nothing. Raises StoreError, RegistryError."""
    with (
        closing(open_registry(settings.registry)) as registry,
        closing(connect(settings, deadline=5.0, timeout=600.0)) as client,
    ):
        pricer = _pricer(registry, wait, dry_run)
        report = Report(pricer.epoch)
        run = uuid4().hex
        writer = None if dry_run else Writer(client, run, pricer.epoch, reason, read_rules(registry))
        work = pieces(client, scope)
        for done, piece in enumerate(work, 1):
            _do(client, scope, piece, pricer, writer, report)
            progress(done, len(work), report)
        if not dry_run:
            rows = client.query(sql("overtaken"), parameters={"run": run}).result_rows
            report.overtaken = [(str(project), str(trace)) for project, trace in rows]
        return report


def _pricer(registry: Registry, wait: float, dry_run: bool) -> ObservationPricer:
    """Steps 1 and 2. A dry run prices under the epoch that would come next."""
    newest = registry.newest_prices()
    document = check_document(newest.document) if newest else EMPTY
    if dry_run:
        return ObservationPricer(PriceBook(document, epoch=(newest.epoch if newest else 0) + 1))
    plain = document.model_dump(mode="json", by_alias=True)
    published, _ = registry.publish_prices(plain, base_version(), note="reprice")
    age = (datetime.now(UTC) - published.published_at).total_seconds()
    time.sleep(max(wait - age, 0))
    return ObservationPricer(PriceBook(document, epoch=published.epoch))


def _do(
    client: Client, scope: Scope, piece: Piece, pricer: ObservationPricer, writer: Writer | None, report: Report
) -> None:
    revised = [revise(stored, piece.project_id, pricer) for stored in stored_traces(client, scope, piece)]
    for each in revised:
        report.add(each)
    if writer is not None:
        writer.write(piece, [each for each in revised if each.observations or each.trace])


def print_progress(done: int, of: int, report: Report) -> None:
    """One line on stderr, rewritten on a terminal."""
    end = "\r" if sys.stderr.isatty() and done < of else "\n"
    if end == "\r" or done == of or done % 50 == 0:
        print(f"piece {done} of {of}: {report.rows_written} rows", end=end, file=sys.stderr)


def print_report(report: Report, *, dry_run: bool) -> None:
    """A table by model, and what was written."""
    width = max([5, *(len(model) for model in report.models)])
    print(f"{'model':<{width}} {'rows':>10} {'changed':>10} {'old USD':>20} {'new USD':>20} {'difference':>20} unknown")
    total = ModelSum()
    for model, line in sorted(report.models.items()):
        _print_line(model, width, line)
        for name in ("rows", "changed", "old", "new", "unknown"):
            setattr(total, name, getattr(total, name) + getattr(line, name))
    _print_line("total", width, total)
    verb = "would be" if dry_run else "were"
    print(f"{report.rows_written} observations and {report.traces_written} traces {verb} written, epoch {report.epoch}")


def _print_line(name: str, width: int, line: ModelSum) -> None:
    print(
        f"{name:<{width}} {line.rows:>10} {line.changed:>10} {line.old:>20.12f} {line.new:>20.12f} "
        f"{line.new - line.old:>20.12f} {line.unknown:>7}"
    )
