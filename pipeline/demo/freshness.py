"""How long after it was sent an event is a row that a query finds, measured at a modest load.

Rule: the clock of an event starts before its request is sent and stops when the answer of a query of the view
`observations` that contains it has arrived; so all of client, front door, Kafka, worker, store and view are in it, and
the time between two looks as well. One event of each request is watched.
An event that is not visible by the deadline counts as missing and is never left out in silence.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any

from clickhouse_connect.driver.client import Client

from pipeline.demo.front import Answer, Front
from pipeline.demo.queries import sql
from pipeline.demo.recorded import Json, entities_of
from pipeline.demo.sent import Sent, Source

LOAD = 200  # events per second
SECONDS = 10
_BATCH = 10  # events of a request: one trace, its span and what the span holds
_LOOK_EVERY, _GIVE_UP_AFTER = 0.05, 15.0  # seconds


@dataclass(slots=True)
class Freshness:
    """Seconds from sending an event to seeing its row, in the order of becoming visible."""

    seconds: list[float] = field(default_factory=list)
    missing: int = 0

    def percentile(self, percent: float) -> float:
        """The smallest measured value that `percent` of the values do not exceed (nearest rank)."""
        ordered = sorted(self.seconds)
        return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


async def measure(front: Front, client: Client, sent: Sent, done: Callable[[int], None]) -> Freshness:
    """Send for SECONDS and watch until everything is visible or given up; adds to `sent` what was accepted."""
    found = Freshness()
    pending: dict[str, float] = {}  # observation id -> when it was sent
    sending = asyncio.create_task(_send(front, pending, sent, done))
    try:
        give_up = None
        while pending or not sending.done():
            await _look(client, pending, found)
            if sending.done():
                sending.result()
                give_up = give_up or time.monotonic() + _GIVE_UP_AFTER
                if time.monotonic() > give_up:
                    break
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        sending.cancel()
    found.missing = len(pending)
    return found


async def _send(front: Front, pending: dict[str, float], sent: Sent, done: Callable[[int], None]) -> None:
    """Requests at fixed times, whatever the answers of earlier ones take: a slow answer does not lower the load."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(LOAD * SECONDS // _BATCH):
            await asyncio.sleep(began + number * _BATCH / LOAD - loop.time())
            group.create_task(_send_one(front, number, pending, sent))
            done(_BATCH)


async def _send_one(front: Front, number: int, pending: dict[str, float], sent: Sent) -> None:
    batch = {"batch": list(_events(number, datetime.now(UTC)))}
    pending[batch["batch"][-1]["body"]["id"]] = time.monotonic()
    answer: Answer = await front.post(batch)
    sent.accepted[Source.HTTP] += answer.accepted
    sent.refused += answer.refused
    sent.entities.add(entities_of([batch]))


async def _look(client: Client, pending: dict[str, float], found: Freshness) -> None:
    """One query for everything that is still waited for."""
    ids = tuple(pending)
    if not ids:
        return
    traces = tuple({id_.partition("/")[0] for id_ in ids})
    rows = (await asyncio.to_thread(client.query, sql("visible"), {"ids": ids, "traces": traces})).result_rows
    now = time.monotonic()
    found.seconds.extend(now - pending.pop(id_) for (id_,) in rows)


def _events(number: int, now: datetime) -> Iterator[Json]:
    """A trace with one span and what is in it, all of it finished."""
    time_, trace_id = now.isoformat(), f"fresh-{number}"
    yield _envelope("trace-create", time_, {"id": trace_id, "timestamp": time_, "name": "freshness"})
    times = {"traceId": trace_id, "startTime": time_, "endTime": time_}
    root = f"{trace_id}/1"
    yield _envelope("span-create", time_, {"id": root, "name": "request", **times})
    for place in range(2, _BATCH):
        body = {"id": f"{trace_id}/{place}", "name": "step", "parentObservationId": root, **times}
        yield _envelope("span-create", time_, body)


def _envelope(kind: str, time_: str, body: dict[str, Any]) -> Json:
    return {"id": f"{body['id']}-{kind}", "type": kind, "timestamp": time_, "body": body}
