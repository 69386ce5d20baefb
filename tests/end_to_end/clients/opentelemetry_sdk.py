"""The scenario by the plain OpenTelemetry SDK: GenAI attributes, and Langfuse's for what those have no word for.

OTEL_EXPORTER_OTLP_PROTOCOL chooses the exporter, as it does for OpenTelemetry's own auto-instrumentation. Spans cannot
carry scores; a program sends them over Langfuse's API.
"""

import json
import os
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context
from scenario import STORY, TRACE, nanoseconds, part
from scores import send_scores

OBSERVATION = "langfuse.observation"


def exporter() -> SpanExporter:
    if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return Grpc()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

    return Http()


def of_the_trace() -> dict[str, Any]:
    """Whose the trace is; on the root alone."""
    return {
        "user.id": TRACE["user_id"],
        "session.id": TRACE["session_id"],
        "langfuse.trace.name": TRACE["name"],
        "langfuse.trace.tags": TRACE["tags"],
        "langfuse.trace.public": True,
        "langfuse.trace.metadata": json.dumps(TRACE["metadata"]),
    }


def attributes(name: str) -> dict[str, Any]:
    """Input, output, level and metadata of any observation."""
    said = part(name)
    found = {f"{OBSERVATION}.{key}": json.dumps(said[key]) for key in ("input", "output", "metadata") if key in said}
    return found | ({f"{OBSERVATION}.level": said["level"]} if "level" in said and name != "failed" else {})


def generation() -> dict[str, Any]:
    """In the words of the GenAI conventions, where the input's tokens include the cached ones."""
    said, usage = STORY["generation"], STORY["generation"]["usage"]
    first_token = (nanoseconds("first token") - nanoseconds("generation")) / 1e9
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": said["model"],
        "gen_ai.response.model": said["model"],
        **{f"gen_ai.request.{name}": value for name, value in said["model_parameters"].items()},
        "gen_ai.input.messages": json.dumps(said["input"]),
        "gen_ai.output.messages": json.dumps(said["output"]),
        "gen_ai.usage.input_tokens": usage["input"] + usage["cache_read_input_tokens"],
        "gen_ai.usage.cache_read.input_tokens": usage["cache_read_input_tokens"],
        "gen_ai.usage.output_tokens": usage["output"],
        "gen_ai.response.time_to_first_chunk": first_token,
        f"{OBSERVATION}.prompt.name": said["prompt"]["name"],
        f"{OBSERVATION}.prompt.version": said["prompt"]["version"],
        f"{OBSERVATION}.metadata": json.dumps(said["metadata"]),
    }


def main() -> None:
    provider = TracerProvider()  # its resource is a variable
    provider.add_span_processor(BatchSpanProcessor(exporter()))
    tracer = provider.get_tracer("support-app")

    def begin(name: str, said: dict[str, Any], parent: Span | None = None) -> Span:
        context = set_span_in_context(parent) if parent else None
        return tracer.start_span(part(name)["name"], context, attributes=said, start_time=nanoseconds(name))

    root = begin("root", attributes("root") | of_the_trace())
    begin("event", attributes("event") | {f"{OBSERVATION}.type": "event"}, root).end(nanoseconds("event"))
    begin("retrieval", attributes("retrieval"), root).end(nanoseconds("retrieval", end=True))
    failed = begin("failed", attributes("failed"), root)
    failed.set_status(Status(StatusCode.ERROR, STORY["failed"]["status_message"]))
    failed.end(nanoseconds("failed", end=True))
    wrote = begin("generation", generation(), root)
    wrote.end(nanoseconds("generation", end=True))
    root.end(nanoseconds("root", end=True))
    provider.shutdown()
    ids = root.get_span_context(), wrote.get_span_context()
    send_scores(f"{ids[0].trace_id:032x}", f"{ids[1].span_id:016x}")


if __name__ == "__main__":
    main()
