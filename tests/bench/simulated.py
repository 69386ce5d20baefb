"""A worker in one process, on a clock that the benchmark moves: the real pipeline, no Kafka, no ClickHouse.

The store encodes rows and forgets them. What was let go of giant traces is read back from an archive that makes the
events anew (`Regenerate`), so that it takes no memory of its own; the CPU time of that is counted as `read back`.
"""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch
from zlib import crc32

import orjson

from pipeline.config import Settings
from pipeline.cost.price import ObservationPricer
from pipeline.events import headers
from pipeline.events.keys import event_identity, record_key
from pipeline.events.model import Micros, Record
from pipeline.metrics import Metrics, Role
from pipeline.store import lookups, tables
from pipeline.store.insert import Refused
from pipeline.store.native import encode
from pipeline.stream import contents as contents_module
from pipeline.stream.archive import Archive
from pipeline.stream.chunk import Chunk
from pipeline.stream.collect import Collector, Waits
from pipeline.stream.flush import Flush
from pipeline.stream.held import BESIDE
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.pace import Pace
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.pipeline import Pipeline
from pipeline.stream.stages import Stages

T = TypeVar("T")

PROJECT = "bench"
TP = TopicPartition("bench.events", 0)
SECOND = 1_000_000  # µs
START = 1_767_225_600 * SECOND
CHUNK = 1_000
SETTINGS = Settings()
INTERVAL = int(SETTINGS.flush_interval * SECOND)  # µs
PRICE = ObservationPricer()
_HEADERS = ((headers.CONTENT_TYPE, headers.LANGFUSE_JSON), (headers.PROJECT, PROJECT.encode()))
_TURNS = 200  # of the loop: more than the cold lane needs for what one flush wants

Regenerate = Callable[[str], list[bytes]]
Sink = Callable[[str, Sequence[Any], Micros], None]
_LINES = "".join(f"line {n}: {n * 2654435761 % 2**32:x} " for n in range(4_000))


class Said(NamedTuple):
    """A Langfuse event: of a trace, about an observation of it or about the trace itself."""

    trace: str
    id_: str
    value: bytes


class Figures(NamedTuple):
    """CPU seconds by stage, and rows by table."""

    stages: dict[str, float]
    rows: dict[str, int]


def said(what: str, id_: str, at: int, body: dict[str, Any], text: int = 500) -> bytes:
    """A Langfuse event with so many characters of input or output; `at` in microseconds since START."""
    moment = _iso(at)
    if text:
        begin = crc32(f"{id_}{what}".encode()) % (len(_LINES) - text)
        body = body | {"output" if what.endswith("update") else "input": _LINES[begin : begin + text]}
    value = orjson.dumps({"id": f"{id_}-{what}", "type": what, "timestamp": moment, "body": body})
    return bytes(bytearray(value))  # orjson's own holds memory for many times its length


def created(trace: str, id_: str, parent: str | None, at: int, kind: str = "generation", text: int = 500) -> Said:
    """An observation begins."""
    body = {"id": id_, "traceId": trace, "parentObservationId": parent, "name": "step", "startTime": _iso(at),
            "model": "gpt-4o" if kind == "generation" else None, "environment": "production",
            "modelParameters": {"temperature": 0.2, "max_tokens": 800}, "level": "DEFAULT",
            "metadata": {"attempt": 1, "node": "answer"}}  # fmt: skip
    return Said(trace, id_, said(f"{kind}-create", id_, at, body, text))


def ended(trace: str, id_: str, at: int, tokens: int = 100, kind: str = "generation", text: int = 620) -> Said:
    """An observation ends."""
    body: dict[str, Any] = {"id": id_, "traceId": trace, "endTime": _iso(at), "metadata": {"finish": "stop"}}
    if kind == "generation":
        used = {"input": 180 + tokens, "output": tokens, "total": 180 + 2 * tokens}
        body |= {"usage": used | {"unit": "TOKENS"}, "usageDetails": used}
    return Said(trace, id_, said(f"{kind}-update", id_, at, body, text))


def traced(trace: str, at: int) -> Said:
    """What is known of the trace."""
    body = {"id": trace, "name": "agent-run", "userId": "user", "sessionId": "session", "tags": ["bench"],
            "release": "1.4.2", "environment": "production", "metadata": {"region": "eu"}}  # fmt: skip
    return Said(trace, trace, said("trace-create", trace, at, body))


def _iso(at: int) -> str:
    seconds, micros = divmod(START + at, SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micros:06d}Z"


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many, the last one of what is left."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def resident() -> float:
    """MiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class _Store:
    def __init__(self, sink: Sink, now: Callable[[], Micros]) -> None:
        self.rows: defaultdict[str, int] = defaultdict(int)
        self.seconds = 0.0
        self._sink, self._now = sink, now

    async def insert(self, table: str, rows: Sequence[Any], token: str) -> list[Refused]:
        """Encoded, then forgotten."""
        self.rows[table] += len(rows)
        if rows:
            began = time.thread_time()
            encode(tables.TABLES[table], rows)
            self.seconds += time.thread_time() - began
        self._sink(table, rows, self._now())
        return []

    async def dead_letters(self, letters: Sequence[object]) -> None:
        """The traffic is good."""
        assert not letters, letters

    async def evaluations(self, requests: Sequence[object]) -> None:
        """There are no rules."""
        assert not requests


class _NothingBefore(Archive):
    """An archive that was empty when the partition came."""

    async def open(self, partition: Partition) -> None:
        """Nothing is known."""
        partition.ready.set()


class SimulatedWorker:
    """One worker with one partition. `take` events, `tick` to the next flush; use it inside `simulated`."""

    def __init__(self, folder: Path, sink: Sink, changes: dict[str, int]) -> None:
        self.now = Micros(1_000 * SECOND)
        self._path = folder / "stages.json"
        self.metrics = Metrics(Role.WORKER)
        self._stages = Stages(self._path, self.metrics)
        self.store = _Store(sink, lambda: self.now)
        self.read_back_seconds = 0.0
        self._offset = 0

        async def nothing(_: object) -> Any:
            """No offsets, nothing refused."""

        s = SETTINGS.model_copy(update=changes)
        limits = Limits(
            s.settle_quiet, s.settle_idle, s.settle_longest, s.resident_traces, s.resident_bytes, s.open_traces,
            s.trace_bytes,
        )  # fmt: skip
        archive = _NothingBefore(None, lambda: PRICE, lambda _: 1, s.trace_bytes, self.metrics)  # type: ignore[arg-type]
        collector = Collector(lambda: PRICE, lambda _: (), Waits(s.first, s.hold, s.rest), self._stages)
        intake = Intake(s.max_event_bytes, self._stages)
        flush = Flush(self.store, self.store, nothing, nothing, self.metrics)
        pace = Pace(s.flush_interval, 2**40, 2**40, 2**50, s.memory_bytes - BESIDE)
        self.pipeline = Pipeline(
            archive, intake, collector, flush, limits, pace, self._stages, lambda: self.now, metrics=self.metrics
        )

    async def start(self) -> None:
        """Its partition comes."""
        await self.pipeline.partitions_assigned({TP})

    @property
    def partition(self) -> Partition:
        """The one that it has."""
        return self.pipeline.partitions[TP]

    async def take(self, events: Iterable[Said]) -> None:
        """Events that have just arrived, in chunks."""
        records = []
        for trace, _, value in events:
            key, at = record_key(PROJECT, trace), Micros(START + self.now)
            records.append(Record(*TP, self._offset, at, key, value, _HEADERS))
            self._offset += 1
        for first in range(0, len(records), CHUNK):
            await self.pipeline.take(Chunk(TP, records[first : first + CHUNK], _nothing))

    async def tick(self) -> None:
        """A flush interval later."""
        await self.flush(Micros(self.now + INTERVAL))

    async def flush(self, at: Micros) -> None:
        """Flush at that moment, then let the cold lane work."""
        self.now = at
        await self.pipeline.flush()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def figures(self) -> Figures:
        """What was used until now."""
        self._stages.write()
        stages = orjson.loads(self._path.read_bytes())["stages"]
        more = {"encode": self.store.seconds, "read back": self.read_back_seconds}
        return Figures(stages | more, dict(self.store.rows))


def _nothing() -> None:
    """A chunk needs no acknowledgement here."""


def _forget(table: str, rows: Sequence[Any], now: Micros) -> None:
    """Nobody looks at the rows."""


@contextmanager
def simulated(
    regenerate: Regenerate | None = None, sink: Sink = _forget, **changes: int
) -> Iterator[tuple[SimulatedWorker, Callable[[Any], Any]]]:
    """A worker with changed settings, and what runs its coroutines.

    `regenerate` gives the events of an observation; those that were not folded are left out by the reader.
    """
    loop = asyncio.new_event_loop()

    async def ask(question: Callable[[], Any], *_: object) -> Any:
        began = time.thread_time()
        answer = question()
        worker.read_back_seconds += time.thread_time() - began
        return answer

    def read_back_observations(_: object, key: tuple[str, str], ids: Sequence[str]) -> Iterator[lookups.RawEvent]:
        assert regenerate is not None, "nothing should have been let go"
        for id_ in ids:
            for value in regenerate(id_):
                yield _raw(key, id_, value)

    async def made() -> SimulatedWorker:
        return SimulatedWorker(Path(folder), sink, changes)

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(contents_module, "ask_store", ask),
        patch.object(lookups, "read_back_observations", read_back_observations),
    ):
        worker = loop.run_until_complete(made())
        loop.run_until_complete(worker.start())
        try:
            yield worker, loop.run_until_complete
        finally:
            loop.run_until_complete(worker.pipeline.close(loop.time() + 10.0))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()


def _raw(key: tuple[str, str], id_: str, value: bytes) -> lookups.RawEvent:
    event_id, at = orjson.loads(value)["id"], Micros(START)
    return lookups.RawEvent(
        project_id=key[0], trace_id=key[1], event_id=event_id, identity=event_identity(event_id, value),
        kind="observation", entity_id=id_, content_type=headers.LANGFUSE_JSON.decode(), value=value, receiver="bench",
        received_at=at, topic=TP.topic, partition=TP.partition, offset=0, position=0, timestamp=at, first_seen=at,
    )  # fmt: skip
