"""What this front door has accepted, told to the ledger: records that Kafka acknowledged, by project and minute.

Rule: counted is what Kafka acknowledged, under the minute (LogAppendTime) and the offsets that the acknowledgement
tells, so the ledger can hold these counts against what the log gave to the workers, minute by minute. Every few seconds
and at the end they go to a topic of their own; a publication keeps its number until Kafka has acknowledged it, so one
that comes twice is one.
How it fails: a process that is killed between an acknowledgement and the next publication has counted too little. The
ledger therefore never takes fewer records at the edge than in the log for a fault, only more. An acknowledgement
without a time (one that was lost and asked for again) counts under this machine's clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from time import time_ns
from uuid import uuid4

import msgspec
import structlog

from pipeline.events.edge_counts import Publication

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
_AT_THE_END_SECONDS = 2.0
_MINUTE_MS, _MINUTE = 60_000, 60_000_000  # milliseconds, microseconds
MOST = 20_000  # counts of one publication: some 2 MB, far below what the topic takes
UNKNOWN = -1  # an offset or a time that Kafka did not tell

Publish = Callable[[bytes], Awaitable[bool]]
"""Send to the topic of edge counts; False where Kafka did not take it."""


@dataclass(slots=True)
class _Count:
    records: int
    first: int
    last: int


class EdgeCounts:
    """`count` at each acknowledgement; `run` tells; `finish` at the end."""

    def __init__(self, topic: str, publish: Publish, every: float = EVERY_SECONDS) -> None:
        self._topic, self._publish, self._every = topic, publish, every
        self._instance = uuid4().hex
        self._number = 0
        self._counts: dict[tuple[str, int, int], _Count] = {}
        self._waiting: bytes | None = None  # a publication that Kafka has not acknowledged

    def count(self, project_id: str, partition: int, records: int, offset: int, at: int) -> None:
        """Kafka has these records: offset of the first, and when it took them (ms); UNKNOWN where it did not say."""
        minute = (time_ns() // 1_000_000 if at == UNKNOWN else at) // _MINUTE_MS
        key = (project_id, partition, minute)
        known = self._counts.get(key)
        first, last = (offset, offset + records - 1) if offset != UNKNOWN else (2**63, 0)
        if known is None:
            self._counts[key] = _Count(records, first, last)
        else:
            known.records += records
            known.first = min(known.first, first)
            known.last = max(known.last, last)

    async def run(self) -> None:
        """Tell every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            while await self.tell() and len(self._counts) >= MOST:
                pass

    async def finish(self) -> None:
        """Tell what is left, if Kafka takes it in time."""
        try:
            async with asyncio.timeout(_AT_THE_END_SECONDS):
                while (self._waiting or self._counts) and await self.tell():
                    pass
        except TimeoutError:
            log.warning("edge_counts_not_told", remedy="The ledger will show fewer at the edge than there were.")

    async def tell(self) -> bool:
        """Send one publication, the one that waits or a new one; False where Kafka did not take it."""
        if self._waiting is None:
            if not self._counts:
                return True
            self._waiting = msgspec.json.encode(self._published())
        if not await self._publish(self._waiting):
            return False
        self._waiting = None
        return True

    def _published(self) -> Publication:
        counts = dict(islice(self._counts.items(), MOST))
        for key in counts:
            del self._counts[key]
        number, self._number = self._number, self._number + 1
        return Publication(
            self._instance,
            number,
            time_ns() // 1000,
            self._topic,
            [project for project, _, _ in counts],
            [partition for _, partition, _ in counts],
            [minute * _MINUTE for _, _, minute in counts],
            [each.records for each in counts.values()],
            [each.first for each in counts.values()],
            [each.last for each in counts.values()],
        )
