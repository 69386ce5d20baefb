"""Ledger and audit by themselves, all the time: every minute over what is recent, with metrics of what they find.

It has to run once. So it lives in the evaluator, which is there anyway and is not in the way of events, and in the one
that holds the first partition of the evaluations topic: the group gives it to one process at a time, and to the next
one when that dies. Should a paused process still believe that it holds it, two look, which harms nothing.
Rule: the ledger looks at the last hour of the log, and further back to the oldest minute of which anything was stored
in the last hour: what comes after a lag of hours is looked at when it is stored. The audit looks at each trace once
after its last event, by offsets and not by a clock: from where it was to where all chunks are stored, so that a lag
leaves nothing out. Begun anew it goes back an hour. Of a share of those traces (`audit_contents_share`) it also
compares what the rows say.
How it fails: a store, broker or registry that does not answer is asked again a minute later, and told of; so is a
mistake of our own code. The time of the last look is a metric. Configured by `watch_interval` (0: never), `audit_fix`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from traceback import format_tb

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError
from urllib3.exceptions import HTTPError

from pipeline.audit.run import Audit, Report
from pipeline.audit.suspects import came_since, recent, stored_before, stored_now
from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.metrics import Metric, Metrics
from pipeline.ops.ledger.balance import Balance, Kind
from pipeline.ops.ledger.read import Scope
from pipeline.ops.ledger.run import take_balance
from pipeline.store.client import connect

log = structlog.get_logger(__name__)

LEDGER_LOOKS_BACK = timedelta(hours=1)
AUDIT_GOES_BACK = timedelta(hours=1)
ANSWER_WITHIN = 30.0  # seconds for a query: an evaluator that stops waits for one that is under way
TOLD = 20  # findings in the log of one look
_FAILS_WITH = (SpanfoldError, ClickHouseError, HTTPError, SQLAlchemyError, OSError)


class Watch:
    """Call `look` now and then; it remembers how far the audit has come."""

    def __init__(self, settings: Settings, metrics: Metrics, audit: Audit) -> None:
        self._settings, self._metrics, self._audit = settings, metrics, audit
        self._audited: dict[int, int] | None = None  # partition -> the offset up to which traces were looked at

    def forget(self) -> None:
        """Somebody else watches from now on, and tells what does not add up."""
        self._audited = None
        self._tell_balance(Balance([]))
        self._metrics.set(Metric.WATCH_LAST, 0)

    async def look(self) -> tuple[Balance, Report]:
        """Once over what is recent."""
        now = datetime.now(UTC)
        balance = await take_balance(self._settings, self._audit.client, await self._ledger_scope(now))
        self._tell_balance(balance)
        report = await self._audit_recent(now)
        self._metrics.add(Metric.AUDIT_TRACES, report.traces)
        self._metrics.add(Metric.AUDIT_CONTENTS, report.compared)
        for divergence, traces in report.divergences.items():
            self._metrics.add(Metric.AUDIT_WRONG, traces, divergence.value)
        for finding in report.findings[:TOLD]:
            log.error(
                "audit_found", project=finding.project_id, trace=finding.trace_id, archived=finding.archived,
                told=finding.told, divergences=[each.value for each in finding.divergences], mended=finding.mended,
                columns=finding.columns,
            )  # fmt: skip
        self._metrics.set(Metric.WATCH_LAST, time.time())
        return balance, report

    async def _ledger_scope(self, now: datetime) -> Scope:
        """By the clock, and by what was stored: without state, so another process goes on where this one ends."""
        topic, start = self._settings.events_topic, now - LEDGER_LOOKS_BACK
        came = await asyncio.to_thread(came_since, self._audit.client, topic, start)
        return Scope(topic, min(start, came or start), now + timedelta(minutes=1))

    async def _audit_recent(self, now: datetime) -> Report:
        client, topic = self._audit.client, self._settings.events_topic
        stored = await asyncio.to_thread(stored_now, client, topic)
        if self._audited is None:
            self._audited = await asyncio.to_thread(stored_before, client, topic, now - AUDIT_GOES_BACK)
        ends = {each.partition: min((first for first, _ in each.gaps), default=each.end) for each in stored}
        bounds = _news(self._audited, ends)
        if not bounds:
            return Report()
        where = await asyncio.to_thread(recent, client, topic, bounds)
        report = await self._audit.recent(where, share=self._settings.audit_contents_share)
        self._audited |= {partition: high for partition, (_, high) in bounds.items()}
        return report

    def _tell_balance(self, balance: Balance) -> None:
        missing: Counter[Kind] = Counter()
        for finding in balance.findings:
            missing[finding.kind] += finding.records
        for kind in Kind:
            self._metrics.set(Metric.LEDGER_MISSING, missing[kind], kind.value)
        for finding in balance.findings[:TOLD]:
            log.error(
                "ledger_found", kind=finding.kind.value, topic=finding.topic, partition=finding.partition,
                first=finding.first, last=finding.last, records=finding.records, project=finding.project_id,
            )  # fmt: skip


def _news(audited: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Partition -> offsets that were not looked at, the last excluded; partitions without any are left out."""
    lows = {partition: audited.get(partition, 0) for partition in ends}
    return {partition: (lows[partition], end) for partition, end in sorted(ends.items()) if end > lows[partition]}


async def watch(settings: Settings, metrics: Metrics, mine: Callable[[], bool]) -> None:
    """Look for ever, while it is `mine` to look. Returns at once where the settings want none."""
    if not settings.watch_interval:
        return
    watching: Watch | None = None
    while True:
        await asyncio.sleep(settings.watch_interval)
        if not mine():
            if watching is not None:
                watching.forget()
            continue
        try:
            if watching is None:
                watching = Watch(settings, metrics, await asyncio.to_thread(_audit, settings))
            await watching.look()
        except _FAILS_WITH as error:
            log.warning("watch_failed", error=str(error)[:500] or type(error).__name__)
        except Exception as error:  # our own mistake, which may quote an event; evaluations must not suffer from it
            log.error("watch_failed", error=type(error).__name__, where="".join(format_tb(error.__traceback__)))


def _audit(settings: Settings) -> Audit:
    return Audit(settings, fix=settings.audit_fix, client=connect(settings, timeout=ANSWER_WITHIN))
