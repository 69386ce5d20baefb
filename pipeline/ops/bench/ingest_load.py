"""What clients send to the front door in a benchmark, and the clients that send it.

Each sort of request is made once and sent again and again: the front door does not remember events, so a repeat costs
it what a new one costs. Failure: BenchError for an answer that is not the one expected.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Any

import aiohttp
import orjson

from pipeline.ops.bench.figures import BenchError
from pipeline.ops.bench.traffic import traffic

_CONNECTIONS = 8
_BODIES = 8  # different ones of each sort, sent in turns


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of request: the route, how many events each body holds, the answer that is expected."""

    name: str
    path: str
    events: int
    expected: int
    bodies: Sequence[bytes] = field(repr=False)


@dataclass(slots=True)
class Sent:
    """What a load came to; times in seconds."""

    requests: int = 0
    elapsed: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The latency that this share of requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def sorts() -> list[Sort]:
    """Batches as SDKs of version 2 and as large clients send them, single objects, arrays of scores."""
    events = [record.value for record in islice(traffic(_BODIES * 512, open_traces=100), _BODIES * 512)]
    spans = [orjson.dumps(orjson.loads(event)["body"]) for event in events if b'"span-create"' in event][:_BODIES]
    return [
        Sort("batch of 512", "/api/public/ingestion", 512, 207, _batches(events, 512)),
        Sort("batch of 15", "/api/public/ingestion", 15, 207, _batches(events, 15)),
        Sort("one span", "/api/public/spans", 1, 200, spans),
        Sort("15 scores", "/api/public/scores", 15, 202, [_scores(number) for number in range(_BODIES)]),
    ]


def _batches(events: list[bytes], size: int) -> list[bytes]:
    parts = [events[number * size : (number + 1) * size] for number in range(_BODIES)]
    return [b'{"batch":[' + b",".join(part) + b"]}" for part in parts]


def _scores(number: int) -> bytes:
    scores = [
        {"id": f"s{number}-{n}", "traceId": f"t{n}", "name": "quality", "value": n / 15, "dataType": "NUMERIC",
         "timestamp": "2026-01-01T00:00:00Z", "comment": "as measured"}
        for n in range(15)
    ]  # fmt: skip
    return json.dumps(scores).encode()


class Clients:
    """Connections to one front door, with a project's key."""

    def __init__(self, url: str, public_key: str, secret_key: str) -> None:
        auth = aiohttp.BasicAuth(public_key, secret_key)
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        headers = {"Content-Type": "application/json"}
        self._session = aiohttp.ClientSession(url, auth=auth, connector=connector, headers=headers)

    async def close(self) -> None:
        """End the connections."""
        await self._session.close()

    async def flood(self, sort: Sort, requests: int) -> Sent:
        """As fast as the answers come, on every connection."""
        sent, begin, numbers = Sent(), perf_counter(), iter(range(requests))

        async def one_connection() -> None:
            for number in numbers:
                await self._post(sort, number, sent)

        await asyncio.gather(*[one_connection() for _ in range(_CONNECTIONS)])
        sent.elapsed = perf_counter() - begin
        return sent

    async def pace(self, sort: Sort, requests: int, per_second: float) -> Sent:
        """At a steady pace, whatever the answers take: a slow answer does not make the next request wait."""
        sent, begin = Sent(), perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                await asyncio.sleep(max(0.0, begin + number / per_second - perf_counter()))
                group.create_task(self._post(sort, number, sent))
        sent.elapsed = perf_counter() - begin
        return sent

    async def metrics(self) -> dict[str, float]:
        """What the front door counts of itself, by name, for metrics without labels."""
        async with self._session.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        pairs = (line.split(" ") for line in lines if line and not line.startswith("#") and "{" not in line)
        return {name: float(value) for name, value in pairs}

    async def _post(self, sort: Sort, number: int, sent: Sent) -> None:
        begin = perf_counter()
        async with self._session.post(sort.path, data=sort.bodies[number % len(sort.bodies)]) as answer:
            body: Any = await answer.json()
        sent.latencies.append(perf_counter() - begin)
        sent.requests += 1
        if answer.status != sort.expected or (isinstance(body, dict) and body.get("errors")):
            raise BenchError(f"The front door answered {answer.status} to a {sort.name}: {str(body)[:200]}")
