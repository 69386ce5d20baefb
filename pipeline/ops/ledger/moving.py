"""Looking for records that were moved and came nowhere; moved.py compares.

A copy is on its way until it is stored, so a place that is short is judged only where nothing can be on its way:
1 the overflow was emptied past what left for it, as it stood when the balance began; 2 all is stored up to where the
events topic ended after that. For 2 it waits some seconds, and then leaves the place to the next look.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from pipeline.ops.ledger import moved, read
from pipeline.ops.ledger.balance import MOVED, Accounted, Finding, Kind, Slot, runs
from pipeline.ops.ledger.elsewhere import archived_elsewhere, project_of
from pipeline.ops.ledger.log import NO_LIMIT, Bounds, Log
from pipeline.ops.ledger.moved import Left, Place
from pipeline.ops.ledger.read import Covered, Scope

STORED_WITHIN = 5.0  # seconds that a look waits for what is on its way
LOOK_AGAIN = 0.25
TWO_CLOCKS = timedelta(minutes=1)  # a worker's, which notes when a chunk was stored, and the log's
PLACES_LOOKED_AT = 50  # of those that are short; more say the same
MINUTE = 60_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Overflowing:
    """The overflow topic and how it stood when the balance began."""

    topic: str
    log: Log
    bounds: Mapping[int, Bounds]

    @property
    def waiting(self) -> dict[int, int]:
        """Partition -> records that no worker has taken yet."""
        waits = {number: each.end - max(each.committed or 0, each.begin) for number, each in self.bounds.items()}
        return {number: records for number, records in waits.items() if records}


async def lost_moving(
    log: Log, client: Client, scope: Scope, overflow: Overflowing, accounted: Sequence[Accounted]
) -> list[Finding]:
    """Findings of records that left a place in the scope and came nowhere."""
    edges = await asyncio.to_thread(read.edges, client, replace(scope, topic=overflow.topic, limits={}))
    left = moved.left_events(scope.topic, accounted) + moved.left_overflow(overflow.topic, edges, overflow.bounds)
    if not left:
        return []
    short = await _not_in_the_overflow(overflow, await _short(client, scope, overflow.topic, left))  # 1
    if not short or not await _all_is_stored(log, client, scope):  # 2
        return []
    places = {each.place for each in short}
    findings: list[Finding] = []
    left = [each for each in left if each.place in places]
    for each in (await _short(client, scope, overflow.topic, left))[:PLACES_LOOKED_AT]:
        there = overflow.log if each.place.topic == overflow.topic else log
        findings += await _named(there, client, each)
    return findings


async def _short(client: Client, scope: Scope, overflow: str, left: Iterable[Left]) -> list[Left]:
    """Places that more records left than came to an end; what could not be sent on from the overflow has a letter."""
    arrived = await asyncio.to_thread(read.arrived, client, scope)
    letters = await asyncio.to_thread(read.dead_letters, client, replace(scope, topic=overflow))
    came = moved.ends(arrived)
    for slot, records in letters.items():
        place = Place(overflow, slot)
        came[place] = came.get(place, 0) + records
    return moved.lost(left, came, moved.untraced(arrived))


async def _not_in_the_overflow(overflow: Overflowing, short: Sequence[Left]) -> list[Left]:
    """1. Those of which nothing can be in the overflow; what left it by a count of the edge was looked at already."""
    judged: list[Left] = []
    drained: dict[int, bool] = {}  # minute -> past it
    for each in short:
        minute = each.stored_last // MINUTE
        if each.place.topic != overflow.topic and minute not in drained:
            drained[minute] = await _drained(overflow, minute)
        if each.place.topic == overflow.topic or drained[minute]:
            judged.append(each)
    return judged


async def _drained(overflow: Overflowing, minute: int) -> bool:
    behind = {number: each for number, each in overflow.bounds.items() if (each.committed or 0) < each.end}
    if not behind:
        return True
    until = datetime.fromtimestamp((minute + 1) * 60, UTC) + TWO_CLOCKS
    limits = await overflow.log.limits(until)
    return all(
        max(each.committed or 0, each.begin) >= min(limits.get(number, NO_LIMIT), each.end)
        for number, each in behind.items()
    )


async def _all_is_stored(log: Log, client: Client, scope: Scope) -> bool:
    ends = {number: each.end for number, each in (await log.bounds()).items()}
    since = replace(scope, limits={})
    deadline = time.monotonic() + STORED_WITHIN
    while True:
        bounds = await log.bounds()
        told = {each.partition: each for each in await asyncio.to_thread(read.covered, client, since)}
        if all(end <= bounds[number].begin or end <= _to(told.get(number), bounds[number])
               for number, end in ends.items()):  # fmt: skip
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_AGAIN)


def _to(told: Covered | None, bound: Bounds) -> int:
    return 0 if told is None else stored_to(told, bound)


def stored_to(told: Covered, bound: Bounds | None) -> int:
    """Up to which offset nothing is in flight: a chunk whose traces are read back is stored after later ones."""
    committed = (bound.committed if bound else None) or 0
    return min((first for first, last in told.gaps if last >= committed), default=told.end)


async def _named(log: Log, client: Client, each: Left) -> list[Finding]:
    """Findings by offsets, as far as the log and the archive tell which records came nowhere."""
    topic, slot = each.place
    if each.first is None or each.last is None:
        offsets = await asyncio.to_thread(read.not_archived, client, topic, slot, MOVED)
    else:
        offsets = [offset async for offset in _of_slot(log, slot, each.first, each.last)]
    elsewhere = await archived_elsewhere(log, client, slot, offsets)
    gone = [offset for offset in offsets if offset not in elsewhere.archived and offset not in elsewhere.unreadable]
    if len(gone) != each.records:  # a second copy of another, or the log has let go of them
        first, last = (gone[0], gone[-1]) if gone else (each.first, each.last)
        return [_finding(each, first, last, each.records)]
    return [_finding(each, first, last, last - first + 1) for first, last in runs(gone)]


def _finding(each: Left, first: int | None, last: int | None, records: int) -> Finding:
    topic, slot = each.place
    return Finding(Kind.LOST_MOVING, topic, slot.partition, first, last, records, slot.project_id, slot.second)


async def _of_slot(log: Log, slot: Slot, first: int, last: int) -> AsyncIterator[int]:
    async for record in log.records(slot.partition, first, last):
        if record.timestamp // MINUTE * 60 == slot.second and project_of(record) == slot.project_id:
            yield record.offset
