"""One trace of the plain OpenTelemetry SDK by HTTP protobuf, HTTP JSON and gRPC: the same rows, through every part."""

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from pipeline.local.ports import find_free_port
from pipeline.registry import NewKey
from tests.fixtures.front_door import Front, basic, healthy, running
from tests.fixtures.otlp import BEGIN, SECOND, TRACE_ID, json_export, sdk_trace, span_id
from tests.fixtures.views import WHEN, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

ROUTES = ("protobuf", "json", "grpc")
SPANS = 5


def new_key(front: Front, project: str) -> NewKey:
    front.registry.create_project(project, project_id=project)
    return front.registry.create_key(project)


def by_environment(monkeypatch: pytest.MonkeyPatch, endpoint: str, name: str, key: NewKey) -> None:
    """The variables that docs/ingest.md tells programs to set."""
    keys = base64.b64encode(f"{key.public_key}:{key.secret_key}".encode()).decode()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"{name}=Basic%20{keys}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")


async def export(exporter: SpanExporter) -> None:
    """What a program with this exporter does, off the loop that serves it."""
    try:
        assert await asyncio.to_thread(exporter.export, sdk_trace()) is SpanExportResult.SUCCESS
    finally:
        await asyncio.to_thread(exporter.shutdown)


async def send_by_every_route(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporters are told nothing but their environment."""
    keys = {route: new_key(front, route) for route in ROUTES}
    by_environment(monkeypatch, f"{front.client.base_url}/api/public/otel", "Authorization", keys["protobuf"])
    await export(HttpExporter())
    told = {**basic(keys["json"].public_key, keys["json"].secret_key), "Content-Type": "application/json"}
    answer = await front.client.post("/v1/traces", content=json_export(sdk_trace()), headers=told)
    assert (answer.status_code, answer.json()) == (200, {})
    by_environment(monkeypatch, f"http://127.0.0.1:{front.settings.grpc_port}", "authorization", keys["grpc"])
    await export(GrpcExporter())


def rows(stack: Stack, view: str, project: str, order: str) -> Sequence[Any]:
    except_ = ", ".join(("project_id", *(column for column in WHEN if column != "settled" or view == "traces")))
    found = stack.client.query(
        f"SELECT * EXCEPT ({except_}) FROM {view} WHERE project_id = '{project}' ORDER BY {order}"
    )
    return list(found.result_rows)


def observation(stack: Stack, number: int, *columns: str) -> tuple[Any, ...]:
    found = stack.client.query(
        f"SELECT {', '.join(columns)} FROM observations WHERE project_id = 'grpc' AND observation_id = {{id:String}}",
        parameters={"id": span_id(number)},
    )
    return tuple(found.first_row)


async def test_one_trace_gives_the_same_rows_by_every_route_and_again(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(stack.worker)
    connection = {"kafka_bootstrap": stack.settings.kafka_bootstrap, "topic_prefix": stack.settings.topic_prefix}
    async with running(tmp_path / "front", grpc_port=find_free_port(), **connection) as front:
        await healthy(front)
        await send_by_every_route(front, monkeypatch)
        await asyncio.to_thread(wait_until_stored, stack, SPANS * len(ROUTES))
        once = {route: rows(stack, "observations", route, "observation_id") for route in ROUTES}
        assert [len(once[route]) for route in ROUTES] == [SPANS] * 3
        assert once["protobuf"] == once["json"] == once["grpc"]
        traces = {route: rows(stack, "traces", route, "trace_id") for route in ROUTES}
        assert traces["protobuf"] == traces["json"] == traces["grpc"]

        key = front.registry.create_key("json")
        repeated = {**basic(key.public_key, key.secret_key), "Content-Type": "application/json"}
        await front.client.post("/v1/traces", content=json_export(sdk_trace()), headers=repeated)
        await asyncio.to_thread(wait_until_stored, stack, SPANS * 4)
        assert rows(stack, "observations", "json", "observation_id") == once["json"]
        assert (
            stack.count("SELECT sum(duplicate) FROM offset_ranges")
            == stack.count("SELECT sum(new) FROM offset_ranges") // 3
        )
    assert_what_the_rows_say(stack)


def assert_what_the_rows_say(stack: Stack) -> None:
    """Column by column, from what the program did."""
    trace = stack.client.query(
        "SELECT trace_id, name, user_id, session_id, tags, environment, version, observation_count, error_count,"
        " status, root_observation_id, flags FROM traces WHERE project_id = 'grpc'"
    ).first_row
    assert trace == (
        TRACE_ID, "answer", "u1", "s1", ["a", "b"], "staging", "1.2.3", SPANS, 1, "ERROR", span_id(0), [],
    )  # fmt: skip
    kept = ("type", "name", "model", "user_id", "session_id", "depth", "parent_observation_id")
    assert observation(stack, 2, *kept) == ("GENERATION", "chat gpt-4o", "gpt-4o-2024-08-06", "u1", "s1", 1, span_id(0))
    assert observation(stack, 3, *kept[:2], "input", "output", "depth") == (
        "TOOL", "weather", '{"city":"Zürich"}', '{"celsius":21.5}', 2,
    )  # fmt: skip
    assert observation(stack, 1, "type", "total_cost", "level") == ("SPAN", None, "DEFAULT")
    assert observation(stack, 4, "level", "status_message") == ("ERROR", "timed out")
    assert observation(stack, 2, "usage_provided", "model_parameters", "tool_calls") == (
        {"gen_ai.usage.input_tokens": 1200, "gen_ai.usage.output_tokens": 80},
        '{"temperature":0.25}',
        ['{"id":"c1","name":"weather","arguments":"{\\"city\\":\\"Zürich\\"}","type":"function","index":0}'],
    )
    begin = (BEGIN + 2 * SECOND) // 1000
    times = "toUnixTimestamp64Micro(start_time)", "toUnixTimestamp64Micro(end_time)", "latency_ms"
    assert observation(stack, 2, *times) == (begin, begin + 500_000, 500.0)
