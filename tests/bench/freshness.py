"""When what was sent is visible: the clock of an observation stops when a query of the view has found it.

One query asks for all that is on its way, every LOOK_EVERY seconds; that time is part of what is measured.
"""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

LOOK_EVERY = 0.05  # seconds
BATCH = 10  # events of a request
PROJECT = "b"  # whose they are
VISIBLE = (
    f"SELECT observation_id FROM observations WHERE project_id = '{PROJECT}' "
    "AND observation_id IN {ids:Array(String)}"
)


class Sightings:
    """Observations on their way, and how long each took that was seen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.over = threading.Event()
        """Set when no more are sent."""
        self.pending: dict[str, float] = {}
        self.fresh: list[tuple[float, float]] = []  # when it was sent, how long it took

    @property
    def seconds(self) -> list[float]:
        """How long each took."""
        return [seconds for _, seconds in self.fresh]

    def sent(self, id_: str) -> None:
        """Its clock starts now."""
        self.pending[id_] = time.monotonic()

    async def look(self, give_up: float) -> None:
        """Until it is over and all were seen, or so many seconds longer: what is `pending` then was never seen."""
        over_since = None
        while not self.over.is_set() or self.pending:
            if self.over.is_set():
                over_since = over_since or time.monotonic()
                if time.monotonic() - over_since > give_up:
                    return
            if ids := list(self.pending):
                rows = (await asyncio.to_thread(self._client.query, VISIBLE, {"ids": ids})).result_rows
                now = time.monotonic()
                for (id_,) in rows:
                    sent = self.pending.pop(id_)
                    self.fresh.append((sent, now - sent))
            await asyncio.sleep(LOOK_EVERY)


def watched_request(number: int) -> tuple[str, bytes]:
    """A finished trace of BATCH events; the observation to look for, and the body."""
    trace, now = f"{PROJECT}-{number}", datetime.now(UTC).isoformat()
    times = {"traceId": trace, "startTime": now, "endTime": now}
    spans = [_event("span-create", {"id": f"{trace}/{n}", "name": "step", **times}) for n in range(1, BATCH)]
    events = [_event("trace-create", {"id": trace, "timestamp": now, "name": PROJECT}), *spans]
    return f"{trace}/{BATCH - 1}", json.dumps({"batch": events}).encode()


def _event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"{body['id']}-{kind}", "type": kind, "timestamp": datetime.now(UTC).isoformat(), "body": body}
