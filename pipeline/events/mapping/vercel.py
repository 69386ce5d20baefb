"""The Vercel AI SDK (versions 3 to 6; attributes `ai.*`).

Its outer spans (`ai.generateText`) repeat the usage of the calls inside (`ai.generateText.doGenerate`), summed up;
model, usage and cost are withheld from them, or every call would count twice.
"""

from typing import Any

from pipeline.events.mapping.readers import (
    after_start,
    counts,
    member,
    named,
    one_of,
    parameters,
    payload,
    structure,
    tag_list,
    text,
    whole,
)
from pipeline.events.mapping.rule import WITHHOLD, Mapper, Rule
from pipeline.events.otlp.span import Span

_MILLISECONDS = 1_000
_CALLS = ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject")
_OUTER = frozenset({*_CALLS, "ai.embed", "ai.embedMany"})
_COUNTED = frozenset({"model", "usage", "cost"})
_TYPES = {
    **{f"{call}.{inner}": "GENERATION" for call in _CALLS for inner in ("doGenerate", "doStream")},
    "ai.embed.doEmbed": "EMBEDDING", "ai.embedMany.doEmbed": "EMBEDDING", "ai.toolCall": "TOOL",
}  # fmt: skip
_OWN_METADATA = frozenset({"userId", "sessionId", "tags", "langfusePrompt"})
_CACHE_COUNTS = (  # where providers report what their API counts beside the SDK's own numbers
    ("anthropic", "cacheCreationInputTokens"),
    ("anthropic", "cacheReadInputTokens"),
    ("openai", "cachedPromptTokens"),
    ("openai", "reasoningTokens"),
)


def _repeats(value: Any, _span: Span) -> frozenset[str] | None:
    return _COUNTED if isinstance(value, str) and value in _OUTER else None


def _agent_repeats(value: Any, span: Span) -> frozenset[str] | None:
    return _COUNTED if span.scope.name == "ai" and value in ("invoke_agent", "agent_step") else None


def _name(value: Any, span: Span) -> str | None:
    function = span.attributes.get("ai.telemetry.functionId")
    return f"{function}:{value}" if function else text(value, span)


def _usage(value: dict[str, Any], span: Span) -> dict[str, int] | None:
    """The SDK's counts, and what only the provider's own answer tells."""
    usage = counts(value) or {}
    details = structure(span.attributes.get("ai.response.providerMetadata"))
    for provider, name in _CACHE_COUNTS:
        given = details.get(provider) if isinstance(details, dict) else None
        if isinstance(given, dict) and name in given:
            usage = {**(counts({name: given[name]}) or {}), **usage}
    return usage or None


def _answer(value: Any, span: Span) -> str | None:
    """Text and tool calls belong to one answer."""
    calls = structure(span.attributes.get("ai.response.toolCalls"))
    if not isinstance(calls, list) or not calls:
        return payload(value)
    return payload({"text": value, "toolCalls": calls} if value else {"toolCalls": calls})


def _metadata(value: dict[str, Any], _span: Span) -> dict[str, Any] | None:
    return {key: structure(item) for key, item in value.items() if key not in _OWN_METADATA} or None


RULES = (
    Rule(WITHHOLD, "ai.operationId", _repeats),
    Rule(WITHHOLD, "gen_ai.operation.name", _agent_repeats),
    Rule("type", "ai.operationId", one_of(_TYPES)),
    Rule("name", "ai.toolCall.name", text),
    Rule("name", "ai.operationId", _name),
    Rule("input", "ai.prompt.messages", payload),
    Rule("input", "ai.prompt", payload),
    Rule("input", "ai.toolCall.args", payload),
    Rule("input", "ai.values", payload),
    Rule("input", "ai.value", payload),
    Rule("output", "ai.response.text", _answer),
    Rule("output", "ai.result.text", payload),
    Rule("output", "ai.toolCall.result", payload),
    Rule("output", "ai.response.object", payload),
    Rule("output", "ai.result.object", payload),
    Rule("output", "ai.response.toolCalls", _answer),
    Rule("output", "ai.result.toolCalls", payload),
    Rule("output", "ai.embeddings", payload),
    Rule("output", "ai.embedding", payload),
    Rule("model", "ai.response.model", text),
    Rule("model", "ai.model.id", text),
    Rule("model_parameters", "ai.settings.*", parameters()),
    Rule("model_parameters", "ai.prompt.toolChoice", named("toolChoice")),
    Rule("usage", "ai.usage.*", _usage),
    Rule("completion_start_time", "ai.response.msToFirstChunk", after_start(_MILLISECONDS)),
    Rule("completion_start_time", "ai.stream.msToFirstChunk", after_start(_MILLISECONDS)),
    Rule("user_id", "ai.telemetry.metadata.userId", text),
    Rule("session_id", "ai.telemetry.metadata.sessionId", text),
    Rule("tags", "ai.telemetry.metadata.tags", tag_list),
    Rule("prompt_name", "ai.telemetry.metadata.langfusePrompt", member("name", then=text)),
    Rule("prompt_version", "ai.telemetry.metadata.langfusePrompt", member("version", then=whole)),
    Rule("metadata", "ai.telemetry.metadata.*", _metadata),
    Rule("metadata", "ai.prompt.tools", named("tools")),
)

MAPPER = Mapper("vercel", "Vercel AI SDK", RULES)
