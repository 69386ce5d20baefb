"""Traces of the pipeline itself: off by default, a trace for each flush where a collector is named."""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.metrics import Metrics, Role
from pipeline.metrics.tracing import NO_TRACING, Step, open_tracing
from pipeline.stream.counted import Laps


class Collector(HTTPServer):
    """Keeps the exports that it is sent."""

    def __init__(self) -> None:
        self.exports: list[ExportTraceServiceRequest] = []
        super().__init__(("127.0.0.1", 0), Receive)


class Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.exports.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def endpoint(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.server_port}/v1/traces"


def test_by_default_nothing_is_traced_and_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert open_tracing(Settings(), Role.WORKER) is NO_TRACING
    NO_TRACING.tell(Step("flush", 1, 2), [], {})
    NO_TRACING.close()


def test_without_opentelemetry_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingError, match="not installed") as error:
        open_tracing(Settings(otel_endpoint="http://localhost:1/v1/traces"), Role.WORKER)
    assert "spanfold[otel]" in str(error.value.remedy)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(SettingError, match="localhost:4318"):
        open_tracing(Settings(otel_endpoint="localhost:4318"), Role.WORKER)


def test_a_flush_is_a_trace_with_a_span_for_each_step(collector: Collector) -> None:
    tracing = open_tracing(Settings(otel_endpoint=endpoint(collector), instance_id="worker-1"), Role.WORKER)
    for _ in range(2):
        laps = Laps(Metrics(Role.WORKER), tracing)
        for step in ("archive", "rows", "send", "ranges", "commit"):
            laps.lap(step)  # type: ignore[arg-type]
        laps.end(7, observations=3)
    tracing.close()
    (resource,) = [each for export in collector.exports for each in export.resource_spans]
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (names["service.name"], names["service.instance.id"]) == ("spanfold-worker", "worker-1")
    spans = [span for scope in resource.scope_spans for span in scope.spans]
    roots = [span for span in spans if not span.parent_span_id]
    assert [root.name for root in roots] == ["flush", "flush"]
    assert len({root.trace_id for root in roots}) == 2
    for root in roots:
        told = {each.key: each.value.int_value for each in root.attributes}
        assert told == {"spanfold.events": 7, "spanfold.observations": 3}
        steps = [span for span in spans if span.parent_span_id == root.span_id]
        assert [step.name for step in steps] == ["archive", "rows", "send", "ranges", "commit"]
        assert steps[0].start_time_unix_nano == root.start_time_unix_nano
        assert steps[-1].end_time_unix_nano == root.end_time_unix_nano
        for before, after in itertools.pairwise(steps):
            assert before.end_time_unix_nano == after.start_time_unix_nano


def test_a_collector_that_is_away_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.metrics.tracing._CLOSE_WITHIN", 0.1)
    tracing = open_tracing(Settings(otel_endpoint="http://127.0.0.1:9/v1/traces"), Role.WORKER)
    for number in range(10_000):  # more than is kept
        tracing.tell(Step("flush", number, number + 1), [], {})
    began = time.monotonic()
    tracing.close()
    assert time.monotonic() - began < 2
