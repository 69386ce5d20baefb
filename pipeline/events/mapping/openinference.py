"""OpenInference (Arize Phoenix). Source: the conventions of openinference-semantic-conventions; recorded exports."""

from typing import Any

from pipeline.events.mapping.indexed import nested, unwrapped
from pipeline.events.mapping.readers import (
    always,
    counts_below,
    named,
    obj,
    one_of,
    parameters,
    payload,
    structure,
    tag_list,
    text,
)
from pipeline.events.mapping.rule import IGNORE, Mapper, Read, Rule
from pipeline.events.model import Micros, Usd
from pipeline.events.otlp.span import Span, SpanEvent
from pipeline.events.values import to_usd

_TYPES = {
    "CHAIN": "CHAIN", "RETRIEVER": "RETRIEVER", "LLM": "GENERATION", "EMBEDDING": "EMBEDDING", "AGENT": "AGENT",
    "TOOL": "TOOL", "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR",
}  # fmt: skip


def _items(name: str) -> Read:
    """A flattened list whose items are each called `name`."""

    def read(value: dict[str, Any], _span: Span) -> str | None:
        return payload([_message(item) for item in unwrapped(_as_list(nested(value)), name)])

    return read


def _message(item: Any) -> Any:
    if isinstance(item, dict):
        for key, name in (("tool_calls", "tool_call"), ("contents", "message_content")):
            if key in item:
                item = {**item, key: unwrapped(item[key], name)}
    return item


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tools(value: dict[str, Any], _span: Span) -> dict[str, Any]:
    tools = unwrapped(_as_list(nested(value)), "tool")
    return {"tools": [structure(tool["json_schema"]) if _has_schema(tool) else tool for tool in tools]}


def _has_schema(tool: Any) -> bool:
    return isinstance(tool, dict) and "json_schema" in tool


def _first_token(events: list[SpanEvent], _span: Span) -> Micros | None:
    return min((event.time for event in events if event.time is not None), default=None)


def _costs(value: dict[str, Any], _span: Span) -> dict[str, Usd]:
    return {name: to_usd(amount) for name, amount in value.items() if amount is not None}


RULES = (
    Rule("type", "openinference.span.kind", one_of(_TYPES, upper=True)),
    Rule("input", "input.value", payload),
    Rule("input", "llm.input_messages.*", _items("message")),
    Rule("input", "llm.prompts.*", _items("prompt")),
    Rule("input", "embedding.text", payload),
    Rule("input", "tool.parameters", payload),
    Rule("input", "tool_call.function.arguments", payload),
    Rule(IGNORE, "input.mime_type", always(True)),
    Rule(IGNORE, "output.mime_type", always(True)),
    Rule("output", "output.value", payload),
    Rule("output", "llm.output_messages.*", _items("message")),
    Rule("output", "retrieval.documents.*", _items("document")),
    Rule("output", "embedding.embeddings.*", _items("embedding")),
    Rule("output", "llm.choices.*", _items("completion")),
    Rule("output", "reranker.output_documents.*", _items("document")),
    Rule("model", "llm.model_name", text),
    Rule("model", "embedding.model_name", text),
    Rule("model", "reranker.model_name", text),
    Rule("model_parameters", "llm.invocation_parameters", parameters("model", "messages")),
    Rule("model_parameters", "embedding.invocation_parameters", parameters("model")),
    Rule("usage", "llm.token_count.*", counts_below("llm.token_count.")),
    Rule("cost", "llm.cost.*", _costs),
    Rule("completion_start_time", "event:First Token Stream Event", _first_token),
    Rule("metadata", "metadata", obj),
    Rule("metadata", "llm.tools.*", _tools),
    Rule("metadata", "llm.prompt_template.variables", named("prompt_variables")),
    Rule("tags", "tag.tags", tag_list),
)

MAPPER = Mapper("openinference", "OpenInference", RULES)
