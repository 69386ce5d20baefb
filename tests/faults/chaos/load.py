"""Steady load of known events: whole traces, a third of them through the front door, the others straight to Kafka.

Rule: every event is sent until somebody acknowledged it, as a client that must not lose one does; so what must be in
the store is what was sent, and what was sent twice is a duplicate. A trace takes about half a second from its first
event to its last; its events are shuffled within thirds, and one of ten is sent once more. Beside them go probes,
single spans by which freshness is measured, one every quarter of a second, by both routes in turn.
"""

import asyncio
import base64
import random
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.registry import NewKey
from tests.fixtures.captures import Outgoing, langfuse_record
from tests.fixtures.whole_traffic import trace_id, whole_trace

TICK = 0.1  # seconds
PROBE_EVERY = 0.25
ANSWER_WITHIN = 15.0
RETRY_AFTER = 0.3
_BACKLOG, _PROBES = 2**30, 2**31  # where the numbers of the backlog's traces and of probes begin


class Load:
    """Sends from `start` to `finish`. `seed` names the traces of this load apart from those of others."""

    def __init__(self, settings: Settings, http: str, key: NewKey, seed: int, events_per_second: int) -> None:
        self.seed, self.rate = seed, events_per_second
        self.records: dict[int, list[Outgoing]] = {}  # trace number -> its events, in the order they were begun
        self.probes: dict[int, tuple[float, Outgoing]] = {}  # number -> when it was sent (monotonic), what
        self.sent = 0  # events, with repetitions
        self.tried_again = 0  # requests and sends that had to be made again
        self._settings = settings
        self._url = f"{http}/api/public/ingestion"
        login = base64.b64encode(f"{key.public_key}:{key.secret_key}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        self._stopping = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def prefix(self) -> str:
        """What the ids of all its traces begin with."""
        return trace_id(0, self.seed)[:16]

    @property
    def known(self) -> list[Outgoing]:
        """Every event, once."""
        traces = [record for records in self.records.values() for record in records]
        return traces + [record for _, record in self.probes.values()]

    def backlog(self, events: int) -> list[Outgoing]:
        """About so many events, shuffled, that the caller puts into the log before the load begins."""
        records: list[Outgoing] = []
        number = _BACKLOG
        while len(records) < events:
            self.records[number] = whole_trace(number, self.seed)
            records += self.records[number]
            number += 1
        random.Random(self.seed).shuffle(records)
        self.sent += len(records)
        return records

    def begun(self) -> set[int]:
        """The numbers of the traces so far."""
        return set(self.records)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, within: float = 120.0) -> None:
        """Begin no more traces and wait until all that was begun is acknowledged. Raises what went wrong."""
        self._stopping.set()
        self._thread.join(within)
        if self._failed is not None:
            raise self._failed
        assert not self._thread.is_alive(), f"not everything was acknowledged within {within:g} s"

    def _run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except BaseException as error:  # handed to `finish`
            self._failed = error

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap, acks="all", linger_ms=5, request_timeout_ms=10_000
        )
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        async with producer, aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            self._producer, self._session = producer, session
            async with asyncio.TaskGroup() as group:
                await asyncio.gather(self._begin_traces(group), self._begin_probes(group))

    async def _begin_traces(self, group: asyncio.TaskGroup) -> None:
        number, due, began = 0, 0.0, time.monotonic()
        while not self._stopping.is_set():
            should = (time.monotonic() - began) * self.rate
            while due < should:
                records = self.records[number] = whole_trace(number, self.seed)
                due += len(records)
                group.create_task(self._send_trace(number, records))
                number += 1
            await asyncio.sleep(TICK)

    async def _begin_probes(self, group: asyncio.TaskGroup) -> None:
        number = 0
        while not self._stopping.is_set():
            record = _probe(self.seed, number)
            self.probes[number] = time.monotonic(), record
            group.create_task(self._deliver([record], by_http=number % 2 == 0))
            number += 1
            await asyncio.sleep(PROBE_EVERY)

    async def _send_trace(self, number: int, records: Sequence[Outgoing]) -> None:
        rng = random.Random(number)
        third = len(records) // 3 + 1
        for at in range(0, len(records), third):
            part = list(records[at : at + third])
            part += [record for record in part if rng.random() < 0.1]
            rng.shuffle(part)
            await self._deliver(part, by_http=number % 3 == 0)
            await asyncio.sleep(2 * TICK)

    def _deliver(self, records: list[Outgoing], *, by_http: bool) -> Coroutine[Any, Any, None]:
        self.sent += len(records)
        return self._post(records) if by_http else self._produce(records)

    async def _post(self, records: list[Outgoing]) -> None:
        """Until each event is acknowledged. Raises AssertionError for an event that is refused for good."""
        waiting = {msgspec.json.decode(record.value)["id"]: record.value for record in records}
        if len(waiting) < len(records):  # the repetitions, in a request of their own
            await self._post_once({id_: waiting[id_] for id_ in list(waiting)[:1]})
        while waiting := await self._post_once(waiting):
            self.tried_again += 1
            await asyncio.sleep(RETRY_AFTER)

    async def _post_once(self, events: dict[str, bytes]) -> dict[str, bytes]:
        """The events that are to be sent again."""
        body = b'{"batch":[' + b",".join(events.values()) + b"]}"
        try:
            async with self._session.post(self._url, data=body) as answer:
                if answer.status != 207:
                    assert answer.status in (429, 500, 502, 503), await answer.text()
                    return events
                said = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return events
        refused = [error for error in said["errors"] if error["status"] < 500 and error["status"] != 429]
        assert not refused, refused
        return {error["id"]: events[error["id"]] for error in said["errors"]}

    async def _produce(self, records: list[Outgoing]) -> None:
        """Until each record is acknowledged."""
        while records:
            sends = [self._produce_one(record) for record in records]
            results = await asyncio.gather(*sends, return_exceptions=True)
            failed = [(record, error) for record, error in zip(records, results, strict=True) if error is not None]
            for _, error in failed:
                if not isinstance(error, KafkaError):
                    raise error
            records = [record for record, _ in failed]
            if records:
                self.tried_again += 1
                await asyncio.sleep(RETRY_AFTER)

    async def _produce_one(self, record: Outgoing) -> None:
        headers = list(record.headers)
        topic = self._settings.events_topic
        await self._producer.send_and_wait(topic, record.value, key=record.key, headers=headers)


def probe_id(seed: int, number: int) -> str:
    """The trace of a probe."""
    return trace_id(_PROBES + number, seed)


def trace_number(id_: str) -> int:
    """The number of a trace by its id."""
    return int(id_[16:], 16)


def probe_number(id_: str) -> int | None:
    """The number of the probe whose trace this is; None for another trace."""
    number = trace_number(id_) - _PROBES
    return number if number >= 0 else None


def _probe(seed: int, number: int) -> Outgoing:
    id_, at = probe_id(seed, number), "2026-11-20T12:00:00Z"
    body = {"id": f"{id_}-0", "traceId": id_, "name": "probe", "startTime": at, "endTime": at, "output": "x"}
    return langfuse_record({"id": f"{id_}-e", "type": "span-create", "timestamp": at, "body": body})
