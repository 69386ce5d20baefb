"""One span per convention, as its instrumentation writes it, and what the mapping makes of it."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.events.model import Kind, Micros
from pipeline.events.otlp.events import span_events
from pipeline.events.otlp.span import Link, Scope, Span, SpanEvent
from tests.fixtures.otlp import BEGIN, span_id, span_of


def fields_of(span: Span) -> Any:
    """The fields of the span's observation."""
    (observation,) = [event for event in span_events("p", span) if event.kind is Kind.OBSERVATION]
    return observation.fields


def test_vercel_model_call() -> None:
    span = span_of(
        {
            "operation.name": "ai.streamText.doStream chat",
            "ai.operationId": "ai.streamText.doStream",
            "ai.telemetry.functionId": "chat",
            "ai.model.id": "gpt-4o",
            "ai.response.model": "gpt-4o-2024-08-06",
            "ai.prompt.messages": '[{"role": "user", "content": "hi"}]',
            "ai.prompt.tools": ['{"type":"function","name":"weather"}'],
            "ai.response.text": "hello",
            "ai.response.toolCalls": '[{"toolCallId":"c1","toolName":"weather","args":"{}"}]',
            "ai.response.msToFirstChunk": 250.5,
            "ai.response.providerMetadata": '{"anthropic":{"cacheReadInputTokens":7,"cacheCreationInputTokens":0}}',
            "ai.settings.maxRetries": 2,
            "ai.usage.promptTokens": 10,
            "ai.usage.completionTokens": 4,
            "ai.telemetry.metadata.userId": "u",
            "ai.telemetry.metadata.sessionId": "s",
            "ai.telemetry.metadata.tags": ["x"],
            "ai.telemetry.metadata.plan": "pro",
            "ai.telemetry.metadata.langfusePrompt": '{"name":"greet","version":3}',
            "gen_ai.request.temperature": 0.5,
            "gen_ai.usage.input_tokens": 10,
        },
        scope="ai",
    )
    fields = fields_of(span)
    assert (fields["type"], fields["name"], fields["model"]) == (
        "GENERATION", "chat:ai.streamText.doStream", "gpt-4o-2024-08-06",
    )  # fmt: skip
    assert fields["usage"] == {
        "promptTokens": 10, "completionTokens": 4, "cacheReadInputTokens": 7, "cacheCreationInputTokens": 0,
    }  # fmt: skip
    assert fields["output"] == '{"text":"hello","toolCalls":[{"toolCallId":"c1","toolName":"weather","args":"{}"}]}'
    assert fields["tool_calls"] == ['{"id":"c1","name":"weather","arguments":"{}","type":"function","index":0}']
    assert fields["completion_start_time"] == BEGIN // 1000 + 250_500
    assert (fields["user_id"], fields["session_id"], fields["tags"]) == ("u", "s", ["x"])
    assert (fields["prompt_name"], fields["prompt_version"]) == ("greet", 3)
    assert fields["model_parameters"] == '{"maxRetries":2,"temperature":0.5}'
    assert fields["metadata"]["plan"] == "pro"
    assert fields["metadata"]["attributes"]["gen_ai.usage.input_tokens"] == 10, "what lost is still there"


def test_vercel_outer_span_repeats_nothing() -> None:
    span = span_of(
        {
            "ai.operationId": "ai.generateText",
            "ai.model.id": "gpt-4o",
            "ai.usage.promptTokens": 10,
            "ai.prompt": '{"prompt": "hi"}',
            "ai.response.text": "hello",
        },
        scope="ai",
    )
    fields = fields_of(span)
    assert not {"model", "usage", "type"} & fields.keys()
    assert (fields["input"], fields["output"]) == ('{"prompt":"hi"}', "hello")
    assert fields["metadata"]["attributes"] == {"ai.model.id": "gpt-4o", "ai.usage.promptTokens": 10}


def test_vercel_tool_call() -> None:
    fields = fields_of(
        span_of(
            {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "weather", "ai.toolCall.args": '{"c": 1}',
             "ai.toolCall.result": "21"}
        )
    )  # fmt: skip
    assert (fields["type"], fields["name"], fields["input"], fields["output"]) == ("TOOL", "weather", '{"c":1}', "21")


def test_genkit_model() -> None:
    fields = fields_of(
        span_of(
            {
                "genkit:name": "googleai/gemini-2.0-flash",
                "genkit:metadata:subtype": "model",
                "genkit:input": '{"messages":[{"role":"user","content":[{"text":"hi"}]}],"config":{"temperature":1}}',
                "genkit:output": '{"message":{"role":"model"},"usage":{"inputTokens":3,"outputTokens":5,"ms":1.5}}',
                "genkit:state": "success",
            },
            scope="genkit-tracer",
        )
    )
    assert (fields["type"], fields["model"], fields["name"]) == ("GENERATION", *["googleai/gemini-2.0-flash"] * 2)
    assert fields["input"] == '[{"role":"user","content":[{"text":"hi"}]}]'
    assert fields["output"] == '{"role":"model"}'
    assert fields["usage"] == {"inputTokens": 3, "outputTokens": 5}
    assert fields["model_parameters"] == '{"temperature":1}'


def test_google_adk_model_and_tool() -> None:
    model = fields_of(
        span_of(
            {
                "gen_ai.system": "gcp.vertex.agent",
                "gcp.vertex.agent.llm_request": '{"model":"gemini-2.0","config":{"tools":[1],"top_k":1},'
                '"contents":[{"r":1}]}',
                "gcp.vertex.agent.llm_response": '{"content":{"parts":[{"function_call":{"name":"f","args":{"a":1}}}]},'
                '"usage_metadata":{"prompt_token_count":9,"cached_content_token_count":4,"prompt_tokens_details":[{}]}}',
                "gcp.vertex.agent.session_id": "s",
            }
        )
    )
    assert (model["type"], model["model"], model["session_id"]) == ("GENERATION", "gemini-2.0", "s")
    assert model["usage"] == {"prompt_token_count": 9, "cached_content_token_count": 4}
    assert (model["input"], model["model_parameters"]) == ('[{"r":1}]', '{"top_k":1}')
    assert model["tool_calls"] == ['{"name":"f","arguments":"{\\"a\\":1}","type":"function","index":0}']
    tool = fields_of(
        span_of(
            {
                "gen_ai.operation.name": "execute_tool",
                "gcp.vertex.agent.llm_request": "{}",
                "gcp.vertex.agent.llm_response": "{}",
                "gcp.vertex.agent.tool_call_args": '{"a": 1}',
                "gcp.vertex.agent.tool_response": '{"b": 2}',
            }
        )
    )
    assert (tool["type"], tool["input"], tool["output"]) == ("TOOL", '{"a":1}', '{"b":2}')


def test_mlflow() -> None:
    fields = fields_of(
        span_of(
            {
                "mlflow.spanType": '"CHAT_MODEL"',
                "mlflow.spanInputs": '{"q": 1}',
                "mlflow.spanOutputs": '"plain"',
                "mlflow.chat.tokenUsage": '{"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}',
                "mlflow.llm.model": '"gpt-4o"',
                "mlflow.llm.cost": '{"input_cost": 0.5, "total_cost": 0.75}',
            }
        )
    )
    assert (fields["type"], fields["model"], fields["input"], fields["output"]) == (
        "GENERATION", "gpt-4o", '{"q":1}', "plain",
    )  # fmt: skip
    assert fields["usage"] == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert fields["cost"] == {"input": Decimal("0.5"), "total": Decimal("0.75")}


def test_livekit() -> None:
    turn = span_of({"lk.user_transcript": "hi", "lk.response.text": "ho"}, scope="livekit-agents", name="agent_turn")
    assert [fields_of(turn)[name] for name in ("type", "input", "output")] == ["AGENT", "hi", "ho"]
    tool = span_of(
        {"lk.function_tool.name": "f", "lk.function_tool.arguments": "{}", "lk.function_tool.is_error": True},
        scope="livekit-agents",
        name="function_tool",
    )
    assert [fields_of(tool)[name] for name in ("type", "name", "level", "input")] == ["TOOL", "f", "ERROR", "{}"]
    assert "type" not in fields_of(span_of(name="agent_turn")), "only in LiveKit's scope"


def test_pydantic_ai_agent_leaves_usage_to_its_model_calls() -> None:
    agent = fields_of(
        span_of(
            {
                "model_name": "gpt-4o",
                "agent_name": "a",
                "gen_ai.usage.input_tokens": 30,
                "gen_ai.response.model": "gpt-4o",
                "logfire.msg": "a run",
                "final_result": "done",
                "pydantic_ai.all_messages": '[{"role": "user", "parts": []}]',
            },
            scope="pydantic-ai",
        )
    )
    assert (agent["type"], agent["name"], agent["output"]) == ("AGENT", "a run", "done")
    assert agent["input"] == '[{"role":"user","parts":[]}]'
    assert not {"usage", "model"} & agent.keys()
    assert agent["metadata"]["attributes"]["gen_ai.usage.input_tokens"] == 30
    call = fields_of(
        span_of(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.usage.input_tokens": 30,
                "events": '[{"event.name": "gen_ai.user.message", "content": "q", "role": "user"},'
                '{"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "a"}}]',
            },
            scope="pydantic-ai",
        )
    )
    assert (call["type"], call["usage"]) == ("GENERATION", {"gen_ai.usage.input_tokens": 30})
    assert call["input"] == '[{"event.name":"gen_ai.user.message","content":"q","role":"user"}]'
    assert call["output"] == '{"role":"assistant","content":"a"}'


def test_logfire_pending_span_is_the_beginning_of_the_span_it_stands_for() -> None:
    span = span_of(
        {"logfire.span_type": "pending_span", "logfire.pending_parent_id": "0" * 16},
        span_id=span_id(8),
        parent_span_id=span_id(7),
    )
    events = span_events("p", span)
    assert events[0].entity_id == span_id(7)
    assert not {"end_time", "parent_observation_id"} & events[0].fields.keys()
    assert events[0].at == span.start


def test_traceloop_indexed_messages_and_workflow() -> None:
    fields = fields_of(
        span_of(
            {
                "llm.request.type": "chat",
                "gen_ai.prompt.0.role": "system",
                "gen_ai.prompt.0.content": "be brief",
                "gen_ai.prompt.1.role": "user",
                "gen_ai.prompt.10.content": "last",
                "gen_ai.prompt.2.content": "third",
                "gen_ai.completion.0.content": "hi",
                "gen_ai.completion.0.tool_calls.0.id": "c",
                "gen_ai.completion.0.tool_calls.0.name": "f",
                "gen_ai.completion.0.tool_calls.0.arguments": "{}",
                "gen_ai.usage.prompt_tokens": 5,
                "llm.request.functions.0.name": "f",
                "llm.request.functions.0.parameters": '{"type": "object"}',
                "traceloop.association.properties.user_id": "u",
                "traceloop.association.properties.plan": "pro",
            }
        )
    )
    assert fields["input"] == (
        '[{"role":"system","content":"be brief"},{"role":"user"},{"content":"third"},{"content":"last"}]'
    )
    assert fields["tool_calls"] == ['{"id":"c","name":"f","arguments":"{}","type":"function","index":0}']
    assert (fields["type"], fields["usage"], fields["user_id"]) == (
        "GENERATION",
        {"gen_ai.usage.prompt_tokens": 5},
        "u",
    )
    assert fields["metadata"]["tools"] == [{"name": "f", "parameters": {"type": "object"}}]
    assert fields["metadata"]["plan"] == "pro"
    workflow = fields_of(span_of({"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"args": []}'}))
    assert (workflow["type"], workflow["input"]) == ("CHAIN", '{"args":[]}')


def event(name: str, **attributes: Any) -> SpanEvent:
    return SpanEvent(
        name, Micros(BEGIN // 1000 + 5), {key.replace("__", "."): item for key, item in attributes.items()}
    )


@pytest.mark.parametrize(
    ("events", "said", "answered"),
    [
        (
            [event("gen_ai.user.message", content="q"), event("gen_ai.choice", message='{"content":"a"}', index=0)],
            '[{"role":"user","content":"q"}]',
            '{"role":"assistant","content":"a"}',
        ),
        (
            [
                event("gen_ai.content.prompt", gen_ai__prompt="q"),
                event("gen_ai.content.completion", gen_ai__completion="a"),
            ],
            "q",
            "a",
        ),
        (
            [
                event(
                    "gen_ai.client.inference.operation.details",
                    gen_ai__input__messages='[{"role": "user"}]',
                    gen_ai__output__messages='[{"role": "assistant"}]',
                    gen_ai__system_instructions='[{"type": "text", "content": "be kind"}]',
                )
            ],
            '[{"role":"system","parts":[{"type":"text","content":"be kind"}]},{"role":"user"}]',
            '[{"role":"assistant"}]',
        ),
    ],
)
def test_messages_in_span_events(events: list[SpanEvent], said: str, answered: str) -> None:
    fields = fields_of(span_of(events=tuple(events)))
    assert (fields["input"], fields["output"]) == (said, answered)
    assert "events" not in fields.get("metadata", {}), "what became input and output is not kept twice"


def test_system_instructions_lead_the_messages() -> None:
    fields = fields_of(span_of({"gen_ai.input.messages": '[{"role":"user"}]', "gen_ai.system_instructions": "be kind"}))
    assert fields["input"] == '[{"role":"system","parts":[{"type":"text","content":"be kind"}]},{"role":"user"}]'


def test_spans_that_are_no_llm_s_are_spans_with_all_they_said() -> None:
    span = span_of(
        {"db.system": "postgresql", "db.statement": "SELECT 1"},
        kind=3,
        events=(event("retry", attempt=2),),
        links=(Link("a" * 32, "b" * 16, {}),),
        resource={"service.name": "shop", "deployment.environment": "Prod"},
    )  # fmt: skip
    fields = fields_of(span)
    assert not {"type", "model", "usage", "cost"} & fields.keys()
    assert fields["environment"] == "prod"
    assert fields["metadata"] == {
        "attributes": {"db.system": "postgresql", "db.statement": "SELECT 1"},
        "resourceAttributes": {"service.name": "shop", "deployment.environment": "Prod"},
        "scope": {"name": "test"},
        "kind": "CLIENT",
        "events": [{"name": "retry", "time": "2026-11-23T08:58:53.087396Z", "attempt": 2}],
        "links": [{"traceId": "a" * 32, "spanId": "b" * 16}],
    }


def test_an_old_python_sdk_calls_generations_spans() -> None:
    said = {"langfuse.observation.type": "span", "langfuse.observation.model.name": "gpt-4o"}
    for version, kind in (("3.3.0", "GENERATION"), ("3.4.0", "SPAN"), ("odd", "SPAN")):
        span = span_of(said)._replace(scope=Scope("langfuse-sdk", version))
        assert fields_of(span)["type"] == kind, version


def test_an_experiment_s_metadata_is_the_same_map_as_one_attribute_and_as_one_for_each_key() -> None:
    prefix = "langfuse.experiment."
    whole = {prefix + "name": "run 1", prefix + "metadata": '{"model": "m"}', prefix + "item.metadata": '{"n": 1}'}
    split = {prefix + "name": "run 1", prefix + "metadata.model": "m", prefix + "item.metadata.n": 1}
    expected = {"name": "run 1", "metadata": {"model": "m"}, "item.metadata": {"n": 1}}
    for attributes in (whole, split, whole | split):
        assert fields_of(span_of(attributes))["metadata"]["experiment"] == expected
    odd = {prefix + "metadata": "text", prefix + "metadata.model": "m"}
    assert fields_of(span_of(odd))["metadata"]["experiment"] == {"metadata": "text", "metadata.model": "m"}
