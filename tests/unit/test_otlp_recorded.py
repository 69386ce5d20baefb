"""Exports of real clients, read: what each program did, field by field, written from the program and not from us."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.cost.usage import normalise
from pipeline.events import headers
from pipeline.events.model import Event, Kind
from pipeline.events.otlp.records import SPLIT, otlp_events
from tests.fixtures.otlp import Sent, recorded, recorded_exports

SDK_4, SDK_5 = "langfuse-python-4.18.0", "langfuse-python-5.0.4"


class Read:
    """The events of an export: observations by name, and trace events by trace."""

    def __init__(self, folder: str, number: str) -> None:
        sent = recorded(folder, number)
        self.observations: defaultdict[str, list[Event]] = defaultdict(list)
        self.traces: defaultdict[str, list[Event]] = defaultdict(list)
        for event in otlp_events("p", sent.content_type, sent.export):
            if event.kind is Kind.TRACE:
                self.traces[event.trace_id].append(event)
            else:
                self.observations[event.fields["name"]].append(event)

    def one(self, name: str) -> Any:
        """The fields of the only observation of that name."""
        (event,) = self.observations[name]
        return event.fields

    def parent(self, name: str) -> str:
        """The name of an observation's parent, "" where it has none."""
        parent = self.one(name).get("parent_observation_id", "")
        return next((e.fields["name"] for es in self.observations.values() for e in es if e.entity_id == parent), "")

    def trace_fields(self, name: str) -> Any:
        """What the trace events of an observation's trace say together, later ones over earlier ones."""
        (event,) = self.observations[name]
        said: dict[str, Any] = {}
        for one in sorted(self.traces[event.trace_id], key=lambda event: event.at):
            said.update(one.fields)
        return said


@pytest.mark.parametrize("sent", recorded_exports(), ids=lambda sent: f"{sent.path.parent.name}-{sent.path.name[:3]}")
def test_every_recorded_export_is_cut_without_loss_and_read(sent: Sent) -> None:
    pieces = SPLIT[sent.content_type](sent.export)
    assert pieces
    for piece in pieces:
        span = piece.read()
        again = SPLIT[sent.content_type](piece.record())
        assert [one.read() for one in again] == [span], "a record is an export of the same span"
        assert otlp_events("p", sent.content_type, piece.record())
    if sent.content_type == headers.OTLP_PROTOBUF:
        assert spans_of(sent.export) == [span for piece in pieces for span in spans_of(piece.record())]


def spans_of(export: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(resource, scope, span) of each span, by protobuf's own library; unknown fields are in it."""
    message = ExportTraceServiceRequest.FromString(export)
    return [
        (resource.resource.SerializeToString(), scope.scope.SerializeToString(), span.SerializeToString())
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_decorated_functions_of_the_langfuse_sdk(client: str) -> None:
    read = Read(client, "004")
    types = {name: read.one(name).get("type") for name in ("guard", "embed", "retrieve", "weather-tool", "llm", "main")}
    assert types == {
        "guard": "GUARDRAIL", "embed": "EMBEDDING", "retrieve": "RETRIEVER", "weather-tool": "TOOL",
        "llm": "GENERATION", "main": "SPAN",
    }  # fmt: skip
    assert [read.parent(name) for name in ("main", "travel-agent", "chain", "retrieve", "embed")] == [
        "", "main", "travel-agent", "chain", "retrieve",
    ]  # fmt: skip
    llm = read.one("llm")
    assert (llm["model"], llm["usage"]) == ("gpt-4o", {"input": 100, "output": 50, "total": 150})
    assert llm["model_parameters"] == '{"temperature":0.7,"max_tokens":256,"stop":["\\n"],"stream":false}'
    assert llm["output"] == '{"role":"assistant","content":"It is 21.5C in Paris"}'
    assert llm["metadata"]["provider"] == "openai"
    event = read.one("cache-miss")
    assert (event["type"], event["level"], event["input"]) == ("EVENT", "DEBUG", '{"key":"q1"}')
    assert "end_time" not in event, "an event is a moment"
    main = read.one("main")
    assert (main["user_id"], main["session_id"], main["trace_name"]) == ("user-42", "sess-7", "travel-request")
    assert (main["tags"], main["version"], main["public"]) == (["prod", "demo", "日本語"], "1.2.3", True)
    assert (main["level"], main["status_message"]) == ("WARNING", "slow upstream")
    assert main["metadata"]["done"] is True
    assert main["metadata"]["nested"] == {"a": [1, {"b": None}]}
    trace = read.trace_fields("main")
    assert trace["metadata"] == {"tenant": "acme", "flag": "true"}, "a text that looks like a truth value is a text"


def test_what_a_program_says_of_its_trace_wins_over_the_root_s_own_input() -> None:
    assert Read(SDK_4, "004").trace_fields("main")["input"] == '{"q":"weather in Paris?"}'
    trace = Read(SDK_5, "004").trace_fields("main")
    assert trace["input"] == '{"args":["weather in Paris?"],"kwargs":{}}', "SDK 5 has no input of the trace"
    assert trace["output"] == "It is 21.5C in Paris"


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_usage_and_cost_are_kept_as_the_program_gave_them(client: str) -> None:
    read = Read(client, "005")
    cached = read.one("cached+reasoning")
    assert cached["usage"] == {
        "input": 181, "output": 59, "input_cached_tokens": 1024, "output_reasoning_tokens": 128, "total": 1392,
    }  # fmt: skip
    assert cached["cost"] == {
        "input": Decimal("0.0001991"), "input_cached_tokens": Decimal("0.0002816"), "output": Decimal("0.0002596"),
        "output_reasoning_tokens": Decimal("0.0005632"), "total": Decimal("0.0013035"),
    }  # fmt: skip
    assert cached["start_time"] < cached["completion_start_time"]
    assert cached["tool_calls"] == ['{"id":"call_1","name":"f","arguments":"{}","type":"function","index":0}']
    openai = read.one("openai-usage")["usage"]
    assert openai["prompt_tokens_details.cached_tokens"] == 1024
    assert (openai["prompt_tokens"], openai["completion_tokens"], openai["total_tokens"]) == (1205, 187, 1392)
    assert read.one("anthropic-usage")["usage"] == {
        "input": 181, "output": 187, "cache_creation_input_tokens": 256, "cache_read_input_tokens": 1024,
    }  # fmt: skip
    assert "usage" not in read.one("no-usage")
    assert read.one("cost-only")["cost"] == {"input": Decimal("0.01"), "output": Decimal("0.02")}
    assert read.one("zero-usage")["usage"] == {"input": 0, "output": 0}
    assert read.one("unicode")["input"] == 'héllo 世界 🌍 \u202e \\u0000 "quoted" \n\t'


def test_metadata_is_read_as_each_sdk_writes_it() -> None:
    kept = ("request_id", "retries", "ok", "list", "str_num")
    wanted = {"request_id": "req_1", "retries": 0, "ok": True, "list": [1, "2"], "str_num": "123"}
    for client, ratio in ((SDK_4, "1.5"), (SDK_5, 1.5)):  # SDK 4 writes a float as it writes the text "1.5"
        metadata = Read(client, "005").one("cached+reasoning")["metadata"]
        assert {name: metadata[name] for name in kept} == wanted
        assert metadata["ratio"] == ratio


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_prompts_are_linked_to_generations(client: str) -> None:
    linked = Read(client, "018").one("linked")
    assert (linked["prompt_name"], linked["prompt_version"]) == ("movie-critic", 1)
    assert "prompt_name" not in Read(client, "018").one("fallback-not-linked")


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_levels_errors_and_exceptions(client: str) -> None:
    read = Read(client, "019")
    assert [read.one(f"lvl-{level}")["level"] for level in ("DEBUG", "DEFAULT", "WARNING", "ERROR")] == [
        "DEBUG", "DEFAULT", "WARNING", "ERROR",
    ]  # fmt: skip
    assert read.one("inner")["status_message"] == "inner failure: bad value ☃"
    failed = read.one("ctx-exception")
    assert (failed["level"], failed["status_message"]) == ("ERROR", "RuntimeError: LLM timeout")
    (exception,) = failed["metadata"]["exceptions"]
    assert (exception["type"], exception["message"]) == ("RuntimeError", "LLM timeout")
    assert exception["stacktrace"].startswith("Traceback")
    assert read.one("evt-error")["level"] == "ERROR"


def test_a_span_that_the_sdk_marks_as_root_has_no_parent_though_it_names_one() -> None:
    read = Read(SDK_5, "023")
    assert "parent_observation_id" not in read.one("scored-root")
    assert read.parent("gen") == "scored-root"
    assert read.trace_fields("scored-root")["input"] == "q"


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_environment_and_release_of_the_resource_reach_every_observation(client: str) -> None:
    staging = [
        event.fields
        for sent in recorded_exports()
        if sent.path.parent.name == client
        for event in otlp_events("p", sent.content_type, sent.export)
        if event.kind is Kind.OBSERVATION and event.fields.get("environment") == "staging"
    ]
    assert staging
    assert {fields.get("release") for fields in staging} == {"2026.01.rc1"}


def test_open_llmetry() -> None:
    read = Read("otel-openllmetry", "001")
    chat, stream, tool, *_ = (event.fields for event in read.observations["openai.chat"])
    assert (chat["type"], chat["model"], chat["environment"], chat["version"]) == (
        "GENERATION", "gpt-4o-2024-08-06", "production", "1.2.3",
    )  # fmt: skip
    assert chat["model_parameters"] == '{"max_tokens":50,"temperature":0.3}'
    assert chat["usage"] == {
        "gen_ai.usage.input_tokens": 1205, "gen_ai.usage.output_tokens": 187, "gen_ai.usage.total_tokens": 1392,
        "gen_ai.usage.cache_read.input_tokens": 1024, "gen_ai.usage.reasoning_tokens": 128,
    }  # fmt: skip
    assert '"content":"be brief"' in chat["input"]
    assert "The capital of France is Paris." in chat["output"]
    assert stream["completion_start_time"] > stream["start_time"], "the first chunk"
    assert tool["tool_calls"] == [
        '{"id":"call_abc123","name":"get_weather","arguments":"{\\"city\\":\\"Paris\\"}","type":"function","index":0}'
    ]
    assert tool["metadata"]["tools"][0]["name"] == "get_weather"
    assert read.one("openai.embeddings")["type"] == "EMBEDDING"
    failed = read.observations["openai.chat"][-2].fields
    assert (failed["level"], failed["status_message"]) == (
        "ERROR", "Error code: 404 - The model `error-model` does not exist",
    )  # fmt: skip
    root = read.one("app-root")
    assert (root["user_id"], root["session_id"], root["tags"]) == ("user-3p", "sess-3p", ["a", "b"])


def test_openinference() -> None:
    read = Read("otel-openinference", "001")
    chat, stream, tool, *_ = (event.fields for event in read.observations["ChatCompletion"])
    assert (chat["type"], chat["model"], chat["user_id"], chat["session_id"]) == (
        "GENERATION", "gpt-4o-2024-08-06", "oi-user", "oi-sess",
    )  # fmt: skip
    assert chat["usage"] == {
        f"llm.token_count.{name}": count
        for name, count in {
            "total": 1392, "prompt": 1205, "completion": 187, "prompt_details.cache_read": 1024,
            "prompt_details.audio": 0, "completion_details.reasoning": 128, "completion_details.audio": 0,
        }.items()
    }  # fmt: skip
    assert chat["model_parameters"] == '{"max_tokens":50,"temperature":0.3,"user":"end-user-1"}'
    assert chat["input"].startswith('{"model":"gpt-4o","messages":[{"role":"system","content":"be brief"}')
    assert (chat["metadata"]["k"], chat["tags"]) == ("v", ["oi"])
    assert stream["completion_start_time"] > stream["start_time"]
    assert tool["tool_calls"][0].startswith('{"id":"call_abc123","name":"get_weather"')
    assert tool["metadata"]["tools"][0]["function"]["name"] == "get_weather"
    kinds = ("chain", "retriever", "tool", "agent", "embedding", "guardrail", "evaluator")
    assert [read.one(f"oi-{kind}")["type"] for kind in kinds] == [kind.upper() for kind in kinds]
    assert "type" not in read.one("oi-reranker"), "a type that Langfuse does not have stays a span"


def test_logfire() -> None:
    read = Read("otel-logfire", "001")
    levels = {name: read.one(name)["level"] for name in ("hello world", "careful", "bad", "fails")}
    assert levels == {"hello world": "DEFAULT", "careful": "WARNING", "bad": "ERROR", "fails": "ERROR"}
    assert read.one("careful")["type"] == "EVENT"
    assert read.one("fails")["status_message"] == "ValueError: x"
    assert read.parent("fails") == "handle r1"
    chat = read.observations["Chat Completion with 'gpt-4o'"][0].fields
    assert (chat["type"], chat["model"], chat["cost"]) == (
        "GENERATION", "gpt-4o-2024-08-06", {"total": Decimal("0.0036025")},
    )  # fmt: skip
    assert chat["usage"]["prompt_tokens_details.cached_tokens"] == 1024
    assert read.one("Embedding Creation with 'text-embedding-3-small'")["type"] == "EMBEDDING"


def test_json_of_a_plain_program() -> None:
    read = Read("otel-otlp_json", "001")
    root = read.one("json-root")
    assert (root["trace_name"], root["model"], root["type"]) == ("json-trace", "gpt-4o", "GENERATION")
    assert (root["start_time"], root["end_time"]) == (1795424333087391, 1795424333087482)
    assert root["metadata"]["attributes"] == {"n": 3, "f": 1.5, "b": True, "arr": ["a", "b"]}
    assert read.parent("json-child") == "json-root"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("otel-openllmetry", "openai.chat"),
        ("otel-openinference", "ChatCompletion"),
        ("otel-logfire", "Chat Completion with 'gpt-4o'"),
    ],
)
def test_one_answer_of_the_provider_is_the_same_usage_whichever_instrumentation_saw_it(folder: str, name: str) -> None:
    """1,205 tokens in, 1,024 of them cached; 187 out, 128 of them reasoning: what the provider's stand-in answered."""
    given = Read(folder, "001").observations[name][0].fields["usage"]
    assert normalise(given, "gpt-4o").usage == {
        "input": 181, "input_cached": 1024, "output": 59, "output_reasoning": 128, "total": 1392,
    }  # fmt: skip


@pytest.mark.parametrize("client", [SDK_4, SDK_5])
def test_a_reference_to_a_medium_in_metadata_is_the_same_text_from_either_sdk(client: str) -> None:
    metadata = Read(client, "026").one("multimodal")["metadata"]
    assert metadata["img"] == "@@@langfuseMedia:type=image/png|id=a3-kNPkqi4CqsC2b8aEuSf|source=base64_data_uri@@@"
