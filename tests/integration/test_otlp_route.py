"""OTLP at the front door with a real broker, over HTTP and gRPC: what is answered, and what is then in the topic."""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.otlp.records import SPLIT
from pipeline.local.kafka import LocalKafka
from pipeline.local.ports import find_free_port
from pipeline.ops.topics import ensure_topics
from tests.fixtures.front_door import PROJECT, Front, bearer, healthy, running, stored
from tests.fixtures.otlp import TRACE_ID, json_export, protobuf_export, recorded_exports, sdk_trace

pytestmark = pytest.mark.stack

PATH, STANDARD = "/api/public/otel/v1/traces", "/v1/traces"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
LARGEST_EXPORT = 2_000_000
LARGEST_SPAN = 400_000
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
async def front(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Front]:
    connection: dict[str, Any] = {"kafka_bootstrap": kafka.bootstrap, "topic_prefix": topic_prefix}
    await ensure_topics(Settings(**connection))
    limits = {"max_export_bytes": LARGEST_EXPORT, "max_event_bytes": LARGEST_SPAN, "grpc_port": find_free_port()}
    async with running(tmp_path, **connection, **limits) as front:
        await healthy(front)
        yield front


def with_broken_span() -> bytes:
    """An export of five good spans and, in their midst, one without a trace id and one that is too large."""
    export = ExportTraceServiceRequest.FromString(protobuf_export(sdk_trace()))
    spans = export.resource_spans[0].scope_spans[0].spans
    broken, large = spans[1].__deepcopy__({}), spans[2].__deepcopy__({})
    broken.trace_id = b""
    large.name = "x" * LARGEST_SPAN
    spans.insert(2, broken)
    spans.insert(4, large)
    return bytes(export.SerializeToString())


def status_of(answer: httpx.Response) -> Status:
    assert answer.headers["content-type"] == PROTOBUF["Content-Type"]
    return Status.FromString(answer.content)


async def test_every_recorded_export_is_accepted_and_no_byte_of_a_span_is_lost(front: Front) -> None:
    sent: Counter[bytes] = Counter()
    for request in recorded_exports():
        answer = await front.client.post(PATH, content=request.body, headers=request.headers)
        assert answer.status_code == 200, request.path
        assert answer.content == (b"{}" if request.path.suffix == ".json" else b""), request.path
        sent.update(piece.span for piece in SPLIT[request.content_type](request.export))
    records = await stored(front.settings)
    found: Counter[bytes] = Counter()
    for record in records:
        told = dict(record.headers)
        (piece,) = SPLIT[told[headers.CONTENT_TYPE]](record.value or b"")
        assert record.key == f"{PROJECT}/{piece.read().trace_id}".encode()
        assert (told[headers.PROJECT], told[headers.RECEIVER]) == (PROJECT.encode(), b"otlp")
        found[piece.span] += 1
    assert found == sent


async def test_a_broken_span_is_reported_and_its_neighbours_are_stored(front: Front) -> None:
    answer = await front.client.post(STANDARD, content=with_broken_span(), headers=PROTOBUF)
    assert answer.status_code == 200
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 2
    assert "1 x traceId: required" in partial.error_message
    assert f"1 x the span is larger than {LARGEST_SPAN} bytes" in partial.error_message
    assert len(await stored(front.settings)) == 5

    as_json = json_export(sdk_trace()).replace(b'"kind":"SPAN_KIND_CLIENT"', b'"kind":[3]')
    answer = await front.client.post(STANDARD, content=as_json, headers=JSON)
    assert (answer.status_code, answer.json()) == (
        200,
        {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 x kind: a number or a name is required"}},
    )
    assert len(await stored(front.settings)) == 9
    counted = (await front.client.get("/metrics")).text
    assert f'spanfold_ingest_events_total{{outcome="rejected",route="{PATH}"}} 3.0' in counted
    assert f'spanfold_ingest_events_total{{outcome="accepted",route="{PATH}"}} 9.0' in counted


async def test_bodies_may_be_packed_and_bombs_stay_packed(front: Front) -> None:
    body = protobuf_export(sdk_trace())
    raw_deflate = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": [gzip.compress(body)],
        "deflate": [zlib.compress(body), raw_deflate.compress(body) + raw_deflate.flush()],
        "zstd": [zstandard.compress(body)],
        "identity": [body],
    }
    for encoding, bodies in packed.items():
        for content in bodies:
            answer = await front.client.post(PATH, content=content, headers={**PROTOBUF, "Content-Encoding": encoding})
            assert answer.status_code == 200, encoding
    assert len(await stored(front.settings)) == 5 * 5
    bombs = {
        "gzip": gzip.compress(bytes(200 * LARGEST_EXPORT), 1),
        "deflate": zlib.compress(bytes(200 * LARGEST_EXPORT), 1),
        "zstd": zstandard.compress(bytes(200 * LARGEST_EXPORT)),
    }
    for encoding, bomb in bombs.items():
        assert len(bomb) < LARGEST_EXPORT
        for content, status in ((bomb, 413), (b"not packed at all", 400), (b"", 400)):
            answer = await front.client.post(PATH, content=content, headers={**PROTOBUF, "Content-Encoding": encoding})
            assert answer.status_code == status, (encoding, content[:20])
            assert status_of(answer).message
    assert "spanfold_ingest_held_bytes 0.0" in (await front.client.get("/metrics")).text


@pytest.mark.parametrize("path", [PATH, STANDARD])
async def test_what_is_wrong_with_a_whole_request_is_answered_in_its_own_encoding(front: Front, path: str) -> None:
    good = protobuf_export(sdk_trace())

    async def send(content: bytes, code: int, status: int, **told: str) -> None:
        answer = await front.client.post(path, content=content, headers={**PROTOBUF, **told})
        assert (answer.status_code, status_of(answer).code) == (status, code), told

    await send(b"\xff\xff", 3, 400)
    await send(good[:-1], 3, 400)
    await send(b"x" * (LARGEST_EXPORT + 1), 3, 413)
    await send(good, 16, 401, Authorization="Basic bm9ib2R5OnNlY3JldA==")
    await send(good, 16, 401, **bearer(front.key.public_key))
    await send(good, 3, 400, **{"x-langfuse-ingestion-version": "5"})
    await send(good, 3, 400, **{"x-langfuse-ingestion-version": "four"})
    await send(good, 3, 415, **{"Content-Encoding": "br"})
    answer = await front.client.post(path, content=b'{"resourceSpans": 5}', headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    answer = await front.client.post(path, content=good, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, 3)
    assert (await front.client.get(path)).status_code == 405
    for empty, kind in ((b"", PROTOBUF), (b"{}", JSON), (b'{"resourceSpans":[]}', JSON)):
        assert (await front.client.post(path, content=empty, headers=kind)).status_code == 200
    answer = await front.client.post(path, content=good, headers={**PROTOBUF, "x-langfuse-ingestion-version": "4"})
    assert answer.status_code == 200
    assert len(await stored(front.settings)) == 5


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics", "/api/public/otel/v1/logs", "/api/public/otel/v1/metrics"])
async def test_logs_and_metrics_are_told_that_they_are_not_stored(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, kafka_bootstrap=f"127.0.0.1:{find_free_port()}") as front:
        answer = await front.client.post(path, content=b"", headers=PROTOBUF)
        assert (answer.status_code, status_of(answer).code) == (501, 12)
        answer = await front.client.post(path, content=b"{}", headers=JSON)
        assert "not stored, only traces are" in answer.json()["message"]


async def test_without_kafka_exporters_are_asked_to_come_again(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{find_free_port()}"
    chosen = {"kafka_bootstrap": nowhere, "produce_timeout": 0.3, "grpc_port": find_free_port()}
    async with running(tmp_path, **chosen) as front:
        answer = await front.client.post(PATH, content=protobuf_export(sdk_trace()), headers=PROTOBUF)
        assert (answer.status_code, status_of(answer).code, answer.headers["retry-after"]) == (503, 14, "5")
        failed = await call(front, protobuf_export(sdk_trace()), **authorization(front))
        assert isinstance(failed, grpc.aio.AioRpcError)
        assert failed.code() is grpc.StatusCode.UNAVAILABLE
        status = Status.FromString(dict(failed.trailing_metadata())["grpc-status-details-bin"])
        retry = RetryInfo()
        assert status.details[0].Unpack(retry)
        assert retry.retry_delay.seconds == 5
        assert "spanfold_ingest_held_bytes 0.0" in (await front.client.get("/metrics")).text


async def test_a_project_that_sends_too_much_is_asked_to_wait_on_every_route(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{find_free_port()}"
    chosen = {"kafka_bootstrap": nowhere, "rate_bytes": 1, "grpc_port": find_free_port()}
    async with running(tmp_path, **chosen) as front:
        assert (await front.client.post(PATH, content=b"{}" + b" " * 1000, headers=JSON)).status_code == 200
        answer = await front.client.post(STANDARD, content=b"{}", headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (429, 8)
        assert int(answer.headers["retry-after"]) > 0
        failed = await call(front, b"", **authorization(front))
        assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        status = Status.FromString(dict(failed.trailing_metadata())["grpc-status-details-bin"])
        assert status.details[0].Is(RetryInfo.DESCRIPTOR), "without it exporters would drop the spans"


def authorization(front: Front) -> dict[str, str]:
    return {"authorization": front.client.headers["authorization"]}


async def call(front: Front, body: bytes, method: str = EXPORT, **metadata: str) -> Any:
    """The response of a call, or the error it failed with."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.settings.grpc_port}") as channel:
        export = channel.unary_unary(method)
        try:
            return ExportTraceServiceResponse.FromString(
                await export(body, metadata=tuple(metadata.items()), timeout=20)
            )
        except grpc.aio.AioRpcError as error:
            return error


async def test_grpc_answers_what_http_answers(front: Front) -> None:
    good, key = protobuf_export(sdk_trace()), authorization(front)
    assert await call(front, good, **key) == ExportTraceServiceResponse()
    assert await call(front, b"", **key) == ExportTraceServiceResponse()
    partial = (await call(front, with_broken_span(), **key)).partial_success
    assert (partial.rejected_spans, "traceId: required" in partial.error_message) == (2, True)
    wrong = {
        grpc.StatusCode.UNAUTHENTICATED: [await call(front, good), await call(front, good, authorization="Basic eA==")],
        grpc.StatusCode.INVALID_ARGUMENT: [await call(front, b"\xff\xff", **key)],
        grpc.StatusCode.RESOURCE_EXHAUSTED: [await call(front, bytes(LARGEST_EXPORT + 1), **key)],
        grpc.StatusCode.UNIMPLEMENTED: [
            await call(front, good, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", **key),
            await call(front, good, "/opentelemetry.proto.collector.trace.v1.TraceService/Other", **key),
        ],
    }
    for code, errors in wrong.items():
        assert [error.code() for error in errors] == [code] * len(errors)
    assert "not stored" in wrong[grpc.StatusCode.UNIMPLEMENTED][0].details()
    assert len(await stored(front.settings)) == 10


async def test_large_exports_leave_the_loop_free_for_others(front: Front) -> None:
    """While a large export is judged in its thread, requests that need nothing are answered."""
    many = json_export(sdk_trace() * 400)
    assert 1_000_000 < len(many) < LARGEST_EXPORT
    sending = asyncio.create_task(front.client.post(PATH, content=many, headers=JSON))
    answered = 0
    while not sending.done():
        assert (await front.client.get("/metrics")).status_code == 200
        answered += 1
    assert (await sending).status_code == 200
    assert answered > 1
    records = await stored(front.settings)
    assert len(records) == 2_000
    assert {record.key for record in records} == {f"{PROJECT}/{TRACE_ID}".encode()}
