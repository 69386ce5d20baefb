"""Taking the balance: 1 the log's bounds, 2 what is covered, 3 what the edge accepted, 4 what became of the records,
5 what is archived, and what is among the dead letters. 6 What does not add up is looked at in the log itself. 7 What
was moved is followed to its end (moving.py).

The order of reading makes a running stream no fault: what was committed before 2 must be covered in 2, what the edge
counts below 2's end must be in 4, and what 4 calls stored must be in 5.
How it fails: StoreError or clickhouse-connect's errors, BrokerUnreachableError. It changes nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.ops.ledger import read
from pipeline.ops.ledger.balance import (
    LETTERS_KEPT,
    LETTERS_WITHIN,
    Balance,
    Finding,
    Kind,
    Line,
    Slot,
    lines_of,
    not_in_log,
    runs,
    short,
)
from pipeline.ops.ledger.elsewhere import archived_elsewhere, project_of
from pipeline.ops.ledger.log import NO_LIMIT, Bounds, Log, open_log
from pipeline.ops.ledger.moving import Overflowing, lost_moving, stored_to
from pipeline.ops.ledger.read import Covered, Scope

Progress = Callable[[str], None]
SLOTS_LOOKED_AT = 200  # of those that lack something in the archive; more say the same
MINUTE = 60_000_000  # microseconds
ALWAYS = 2**62  # later than any time
MARGIN = timedelta(hours=1)


async def take_balance(
    settings: Settings, client: Client, scope: Scope, progress: Progress = lambda _: None
) -> Balance:
    """Everything about the scope. Queries run beside the loop."""
    async with open_log(settings) as log:
        overflow = Overflowing(settings.overflow_topic, log.overflow, await log.overflow.bounds())
        bounds, scope = await _bounded(log, scope)  # 1
        progress("what is covered")
        told = await asyncio.to_thread(read.covered, client, scope)  # 2
        findings, explained = await _uncovered(log, scope, bounds, told)
        findings += (shorter := await _log_shorter(log, scope, bounds, told))
        progress("what became of the records")
        edges = await asyncio.to_thread(read.edges, client, scope)  # 3
        accounted = await asyncio.to_thread(read.accounted, client, scope)  # 4
        reached = {each.partition: stored_to(each, bounds.get(each.partition)) for each in told}
        reached |= {finding.partition: 0 for finding in shorter}  # no offset of theirs says what is stored
        findings += not_in_log(scope.topic, edges, accounted, reached)
        lines = lines_of(accounted, edges)
        progress("what is archived")
        archived = await asyncio.to_thread(read.archived, client, scope)  # 5
        lacking = short(accounted, "stored", archived, ALWAYS)  # the archive is written before the ledger
        findings += await _not_archived(log, client, scope, lacking, lines)  # 6
        now = time.time_ns() // 1000
        letters = await asyncio.to_thread(read.dead_letters, client, scope)
        unsent = short(accounted, "rejected", letters, now - LETTERS_WITHIN)
        findings += [
            Finding(Kind.NO_DEAD_LETTER, scope.topic, slot.partition, None, None, records, slot.project_id, slot.second)
            for slot, records in sorted(unsent.items())
            if slot.second * 1_000_000 > now - LETTERS_KEPT
        ]
        progress("what became of moved records")
        findings += await lost_moving(log, client, scope, overflow, accounted)  # 7
        findings += await _untold(client, settings, scope)
    _note_missing(lines, findings)
    behind = {number: max(each.end - max(reached.get(number, 0), each.begin), 0) for number, each in bounds.items()}
    return Balance([lines[key] for key in sorted(lines)], findings, explained, behind, overflow.waiting)


async def _bounded(log: Log, scope: Scope) -> tuple[dict[int, Bounds], Scope]:
    """The log's bounds, cut where the scope ends, and the scope with these limits.

    A margin of an hour: two brokers that lead a partition one after the other need not agree on the time.
    """
    bounds = await log.bounds()
    if scope.until + MARGIN >= datetime.now(UTC):
        return bounds, scope
    limits = await log.limits(scope.until + MARGIN)
    cut = {
        number: each._replace(
            end=max(min(each.end, limits.get(number, NO_LIMIT)), each.begin),
            committed=None if each.committed is None else min(each.committed, limits.get(number, NO_LIMIT)),
        )
        for number, each in bounds.items()
    }
    return cut, replace(scope, limits=limits)


async def _log_shorter(log: Log, scope: Scope, bounds: dict[int, Bounds], told: Sequence[Covered]) -> list[Finding]:
    """Partitions of which more is stored than the log ever had: its offsets begin anew, and mean other records.

    Asked once more after the chunks were read: beside a running stream both grow.
    """
    if all(each.partition in bounds and each.end <= bounds[each.partition].end for each in told):
        return []
    ends = {number: each.end for number, each in (await log.bounds()).items()}
    found = [(each.partition, ends.get(each.partition, 0), each.end) for each in told]
    return [
        Finding(Kind.LOG_SHORTER, scope.topic, partition, end, stored - 1, stored - end)
        for partition, end, stored in found
        if stored > end
    ]


async def _untold(client: Client, settings: Settings, scope: Scope) -> list[Finding]:
    """Publications of front doors that are gone; whose records they counted nobody knows."""
    found = []
    for topic in (settings.events_topic, settings.overflow_topic):
        for each in await asyncio.to_thread(read.untold, client, replace(scope, topic=topic)):
            missing = each.last - each.first + 1
            found.append(Finding(Kind.EDGE_UNTOLD, topic, -1, each.first, each.last, missing, "", each.second))
    return found


async def _uncovered(
    log: Log, scope: Scope, bounds: dict[int, Bounds], told: Sequence[Covered]
) -> tuple[list[Finding], int]:
    """Committed offsets that no chunk covers: with records in the log they are lost, without any they are explained."""
    findings: list[Finding] = []
    explained = 0
    for partition, first, last in _holes(bounds, {each.partition: each for each in told}):
        begin = bounds[partition].begin
        if first < begin:
            gone = min(last, begin - 1)
            findings.append(Finding(Kind.UNPROVEN, scope.topic, partition, first, gone, gone - first + 1))
        if last < begin:
            continue
        found: dict[tuple[str, int], list[int]] = {}
        async for record in log.records(partition, max(first, begin), last):
            found.setdefault((project_of(record), record.timestamp // MINUTE * 60), []).append(record.offset)
        explained += last - max(first, begin) + 1 - sum(map(len, found.values()))
        for (project, second), offsets in found.items():
            if scope.project in ("", project) and second < scope.until.timestamp():
                findings.append(
                    Finding(
                        Kind.UNCOVERED, scope.topic, partition, offsets[0], offsets[-1], len(offsets), project, second
                    )
                )
    return findings, explained


def _holes(bounds: dict[int, Bounds], told: dict[int, Covered]) -> Iterable[tuple[int, int, int]]:
    """(partition, first, last) of committed offsets that no chunk covers."""
    for partition, bound in sorted(bounds.items()):
        if not bound.committed:
            continue
        last = bound.committed - 1
        known = told.get(partition)
        if known is None:
            if bound.begin <= last:
                yield partition, bound.begin, last
            continue
        if bound.begin < known.begin:
            yield partition, bound.begin, min(known.begin - 1, last)
        yield from ((partition, first, min(end, last)) for first, end in known.gaps if first <= last)
        if max(known.end, bound.begin) <= last:
            yield partition, max(known.end, bound.begin), last


async def _not_archived(
    log: Log, client: Client, scope: Scope, lacking: dict[Slot, int], lines: dict[tuple[str, int], Line]
) -> list[Finding]:
    """What the archive lacks, but for what has expired in it and what it has from another offset.

    The latter was stored twice over (two workers had one trace) and is counted as a duplicate here.
    """
    begins = await asyncio.to_thread(read.archive_begins, client, {slot.project_id for slot in lacking})
    young = (
        time.time() - 86_400
    )  # of these nothing has expired, also where the archive begins in the middle of a minute
    kept = [
        slot
        for slot in lacking
        if slot.second + (60 if slot.second > young else 0) > begins.get(slot.project_id, 2**62)
        or slot.second == begins.get(slot.project_id)
    ]
    findings: list[Finding] = []
    for slot in sorted(kept)[:SLOTS_LOOKED_AT]:
        offsets = await asyncio.to_thread(read.not_archived, client, scope.topic, slot)
        elsewhere = (await archived_elsewhere(log, client, slot, offsets)).archived
        line = lines[slot.project_id, slot.second]
        line.stored -= len(elsewhere)
        line.duplicate += len(elsewhere)
        for first, last in runs([offset for offset in offsets if offset not in elsewhere]):
            records = last - first + 1
            line.stored -= records
            findings.append(
                Finding(
                    Kind.NOT_ARCHIVED, scope.topic, slot.partition, first, last, records, slot.project_id, slot.second
                )
            )
    return findings


def _note_missing(lines: dict[tuple[str, int], Line], findings: Iterable[Finding]) -> None:
    """What is missing of each line. A record that was never covered is missed by the edge's count, too: the greater."""
    missing: dict[tuple[str, int], dict[Kind, int]] = {}
    for finding in findings:
        if finding.second is not None and finding.kind not in (Kind.NO_DEAD_LETTER, Kind.EDGE_UNTOLD):
            kinds = missing.setdefault((finding.project_id, finding.second), {})
            kinds[finding.kind] = kinds.get(finding.kind, 0) + finding.records
    for (project, second), kinds in missing.items():
        line = lines.setdefault((project, second), Line(project, second))
        line.missing = (
            kinds.get(Kind.NOT_ARCHIVED, 0)
            + kinds.get(Kind.LOST_MOVING, 0)
            + max(kinds.get(Kind.UNCOVERED, 0), kinds.get(Kind.NOT_IN_LOG, 0))
        )
