"""What hostile requests cost the front door, and the others meanwhile: a process with default limits, a real broker.

For each: what was answered, when, how much more memory the process held at its peak (Linux's VmHWM, reset before), and
the longest that a good request of another client took meanwhile. An unexpected answer is an AssertionError.
`python -m tests.bench.bench_hostile`; about a minute, most of it waiting for slow clients to be thrown out.
"""

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import zstandard
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from pipeline.config import Settings
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import LOOPBACK, find_free_port, find_free_ports
from pipeline.ops.topics import ensure_topics
from pipeline.registry import open_registry
from tests.bench.services import answers, status
from tests.fixtures.front_door import basic, batch, span
from tests.fixtures.worker import WorkerProcess
from tests.unit.test_otlp_hostile import export

BATCH, OTLP = "/api/public/ingestion", "/v1/traces"
GIGABYTE = gzip.compress(bytes(2**26), 9) * 16
PROTOBUF = {"Content-Type": "application/x-protobuf"}
MANY = [KeyValue(key=f"key-{number}", value=AnyValue(string_value="value")) for number in range(10_000)]


class Case(NamedTuple):
    """A request, and what has to be answered: a status, in a batch with how many are stored and how many are not."""

    name: str
    expected: str
    body: bytes = b""
    path: str = BATCH
    method: str = "POST"
    headers: Mapping[str, str] = MappingProxyType({})


def between(hostile: bytes) -> bytes:
    """A batch of two good events and this one."""
    return batch(span(1), hostile, span(2))


def said(old: bytes, new: bytes) -> bytes:
    """A good event, but for this."""
    return json.dumps(span(0)).encode().replace(old, new)


_DEEP = said(b'"n"', b"[" * 100_000 + b"]" * 100_000)
CASES = [
    Case("a batch of three", "207: 3 stored", between(said(b"", b""))),
    Case("1 GB of zeros, gzip", "413", GIGABYTE, headers={"Content-Encoding": "gzip"}),
    Case("the same to OTLP", "413", GIGABYTE, OTLP, headers={**PROTOBUF, "Content-Encoding": "gzip"}),
    Case("1 GB of zeros, zstd", "413", b"", OTLP, headers={**PROTOBUF, "Content-Encoding": "zstd"}),
    Case("JSON 100,000 deep", "207: 2 stored, 1 refused (400)", between(_DEEP)),
    Case("a body that is JSON 100,000 deep", "400", b"[" * 100_000 + b"]" * 100_000),
    Case("a text of 10 MB", "413", between(said(b'"n"', b'"' + b"x" * 10_000_000 + b'"'))),
    Case("a text of 4 MB", "207: 3 stored", between(said(b'"n"', b'"' + b"x" * 4_000_000 + b'"'))),
    Case("every key twice", "207: 3 stored", between(said(b'"name": "n"', b'"name": "m", "name": "n"'))),
    Case("NaN", "207: 2 stored, 1 refused (400)", between(said(b'"n"', b'"n", "input": NaN'))),
    Case("invalid UTF-8", "207: 2 stored, 1 refused (400)", between(said(b'"n"', b'"\xff\xfe"'))),
    Case("a lone surrogate", "207: 2 stored, 1 refused (400)", between(said(b'"n"', b'"\\ud800"'))),
    Case("an id with a control character", "207: 2 stored, 1 refused (400)", between(said(b'"e0"', b'"e\\u0007"'))),
    Case("a span of 10,000 attributes", "200", export(*MANY), OTLP, headers=PROTOBUF),
    Case("10,001 events", "413", batch(*[b"{}"] * 10_001)),
    Case("a wrong content type", "415", b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Case("a wrong method", "405", method="PUT"),
    Case("a wrong key", "401", between(b"{}"), headers={"Authorization": "Basic bm9ib2R5OnNlY3JldA=="}),
]


def prepared(case: Case) -> Case:
    """With a body that is better made here than kept."""
    if case.headers.get("Content-Encoding") == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        return case._replace(body=b"".join(packer.compress(bytes(2**20)) for _ in range(1_024)) + packer.flush())
    return case


def summary(answer: httpx.Response) -> str:
    """As `Case.expected` says it."""
    if answer.status_code != 207:
        return str(answer.status_code)
    told = answer.json()
    stored, errors = len(told["successes"]), [error["status"] for error in told["errors"]]
    return f"207: {stored} stored" + (f", {len(errors)} refused ({errors[0]})" if errors else "")


async def trickle(port: int, head: bytes, drop: bytes) -> str:
    """A client that sends a drop every 0.2 s; the status of the answer that ends it."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    answered = asyncio.ensure_future(reader.readline())  # the status: what comes after may be cut off by a reset
    writer.write(head)
    while not answered.done():
        await asyncio.wait([answered], timeout=0.2)
        writer.write(drop)
    writer.close()
    return (await answered).split(b" ")[1].decode()


async def measured(
    name: str, expected: str, pid: int, good: httpx.AsyncClient, act: Callable[[], Awaitable[str]]
) -> None:
    """Do it beside good requests; a line."""
    longest, over = 0.0, asyncio.Event()

    async def others() -> None:
        nonlocal longest
        while not over.is_set():
            began = time.perf_counter()
            assert summary(await good.post(BATCH, content=batch(span(1)))) == "207: 1 stored"
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.01)

    neighbours = asyncio.create_task(others())
    await asyncio.sleep(0.3)
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    longest, before, began = 0.0, status(pid, "VmRSS"), time.perf_counter()
    told = await act()
    took, peak = time.perf_counter() - began, status(pid, "VmHWM")
    over.set()
    await neighbours
    print(f"| {name} | {told} | {1e3 * took:,.0f} | {peak - before:+.0f} | {1e3 * longest:.0f} |", flush=True)
    assert told == expected, (name, told)


async def run(port: int, pid: int, key: dict[str, str]) -> None:
    """All cases."""
    url = f"http://{LOOPBACK}:{port}"
    await answers(url)
    made: dict[str, Any] = {"base_url": url, "headers": key, "timeout": 60, "trust_env": False}
    async with httpx.AsyncClient(**made) as hostile, httpx.AsyncClient(**made) as good:
        large = next(case for case in CASES if case.name == "a text of 4 MB")
        await good.post(BATCH, content=large.body)  # starts the process for large bodies, which takes a second or more
        for _ in range(200):
            await good.post(BATCH, content=batch(span(1)))
        print("| | answer | ms | MiB more | others at most, ms |\n|---|---|---|---|---|")
        for case in map(prepared, CASES):

            async def send(case: Case = case) -> str:
                return summary(await hostile.request(case.method, case.path, content=case.body, headers=case.headers))

            await measured(case.name, case.expected, pid, good, send)
        lines = [f"POST {BATCH} HTTP/1.1", "Host: x", f"Authorization: {key['Authorization']}", "Content-Length: 9999"]
        head = "\r\n".join([*lines, "", ""]).encode()
        slow = {"headers": (b"GET / HTTP/1.1\r\n", b"X: y\r\n"), "bodies": (head, b"x")}
        for name, parts in slow.items():

            async def crowd(parts: tuple[bytes, bytes] = parts) -> str:
                return " ".join(sorted({*await asyncio.gather(*[trickle(port, *parts) for _ in range(200)])}))

            await measured(f"{name} that trickle, 200 connections", "408", pid, good, crowd)


def main() -> None:
    """A broker and a front door of its own."""
    with tempfile.TemporaryDirectory() as folder:
        kafka = LocalKafka(Path(folder) / "kafka", *find_free_ports(2))
        kafka.start()
        settings = Settings(
            data_dir=Path(folder), kafka_bootstrap=kafka.bootstrap, http_port=find_free_port(), grpc_port=-1
        )
        asyncio.run(ensure_topics(settings))
        registry = open_registry(settings.registry)
        registry.create_project("p", project_id="p")
        key = registry.create_key("p")
        registry.close()
        front = WorkerProcess(settings, Path(folder), "ingest", role="ingest")
        try:
            asyncio.run(run(settings.http_port, front.process.pid, basic(key.public_key, key.secret_key)))
        finally:
            front.kill()
            kafka.stop()


if __name__ == "__main__":
    main()
