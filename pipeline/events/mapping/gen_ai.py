"""OpenTelemetry's own conventions for generative AI: attributes, span events, and the newer message attributes.

Usage keeps the whole names of its attributes; what they mean together is for pipeline.cost to say.
Source: opentelemetry.io, semantic conventions 1.28 to 1.37 for generative AI.
"""

from typing import Any

from pipeline.events.mapping.readers import (
    after_start,
    always,
    counts_below,
    named,
    one_of,
    parameters,
    payload,
    structure,
    text,
    total_cost,
)
from pipeline.events.mapping.rule import Mapper, Read, Rule
from pipeline.events.model import Micros
from pipeline.events.otlp.span import Span, SpanEvent

_OPERATIONS = {
    "chat": "GENERATION", "completion": "GENERATION", "text_completion": "GENERATION", "generate_content": "GENERATION",
    "generate": "GENERATION", "embeddings": "EMBEDDING", "invoke_agent": "AGENT", "create_agent": "AGENT",
    "execute_tool": "TOOL", "retrieval": "RETRIEVER",
}  # fmt: skip
_SECONDS = 1
_ROLES = ("system", "user", "assistant", "tool")
_MESSAGES = {f"gen_ai.{role}.message": role for role in _ROLES}
_DETAILS = "event:gen_ai.client.inference.operation.details"


def _with_instructions(value: Any, span: Span) -> str | None:
    return _conversation(value, span.attributes.get("gen_ai.system_instructions"))


def _conversation(messages: Any, instructions: Any) -> str | None:
    """The messages; instructions that stand beside them come first, as a message of the system."""
    given, found = structure(instructions), structure(messages)
    if not given or not isinstance(found, list):
        return payload(messages)
    parts = given if isinstance(given, list) else [{"type": "text", "content": given}]
    return payload([{"role": "system", "parts": parts}, *found])


def _asked(events: list[SpanEvent], _span: Span) -> str | None:
    said = next((event.attributes for event in events if "gen_ai.input.messages" in event.attributes), None)
    if said is None:
        return None
    return _conversation(said["gen_ai.input.messages"], said.get("gen_ai.system_instructions"))


def _messages(_events: list[SpanEvent], span: Span) -> str | None:
    """The events of the roles, in the order in which they happened."""
    found = [_message(event, _MESSAGES[event.name]) for event in span.events if event.name in _MESSAGES]
    return payload(found) if found else None


def _message(event: SpanEvent, role: str) -> dict[str, Any]:
    said = {key: structure(value) for key, value in event.attributes.items() if not key.startswith("gen_ai.")}
    return {"role": role, **said}


def _choices(events: list[SpanEvent], _span: Span) -> str | None:
    """What the model answered: one message, or a list where there are several."""
    found = [_choice(event) for event in events]
    return payload(found[0] if len(found) == 1 else found)


def _choice(event: SpanEvent) -> Any:
    message = structure(event.attributes.get("message"))
    if message is not None:
        return {"role": "assistant", **message} if isinstance(message, dict) else message
    return _message(event, "assistant")


def _content(name: str) -> Read:
    def read(events: list[SpanEvent], _span: Span) -> str | None:
        found = [structure(event.attributes[name]) for event in events if name in event.attributes]
        return payload(found[0] if len(found) == 1 else found) if found else None

    return read


def _first(events: list[SpanEvent], _span: Span) -> Micros | None:
    return min((event.time for event in events if event.time is not None), default=None)


RULES = (
    Rule("type", "gen_ai.operation.name", one_of(_OPERATIONS)),
    Rule("type", "gen_ai.tool.call.id", always("TOOL")),
    Rule("type", "gen_ai.tool.name", always("TOOL")),
    Rule("name", "gen_ai.tool.name", text),
    Rule("input", _DETAILS, _asked),
    *(Rule("input", f"event:gen_ai.{role}.message", _messages) for role in _ROLES),
    Rule("input", "event:gen_ai.content.prompt", _content("gen_ai.prompt")),
    Rule("input", "gen_ai.input.messages", _with_instructions),
    Rule("input", "gen_ai.prompt", payload),
    Rule("input", "gen_ai.tool.call.arguments", payload),
    Rule("output", _DETAILS, _content("gen_ai.output.messages")),
    Rule("output", "event:gen_ai.choice", _choices),
    Rule("output", "event:gen_ai.content.completion", _content("gen_ai.completion")),
    Rule("output", "gen_ai.output.messages", payload),
    Rule("output", "gen_ai.completion", payload),
    Rule("output", "gen_ai.tool.call.result", payload),
    Rule("model", "gen_ai.response.model", text),
    Rule("model", "gen_ai.request.model", text),
    Rule("model_parameters", "gen_ai.request.*", parameters("model", "type")),
    Rule("cost", "gen_ai.usage.cost", total_cost),
    Rule("usage", "gen_ai.usage.*", counts_below("gen_ai.usage.", "cost")),
    Rule("completion_start_time", "gen_ai.response.time_to_first_chunk", after_start(_SECONDS)),
    Rule("completion_start_time", "event:gen_ai.content.completion.chunk", _first),
    Rule("session_id", "gen_ai.conversation.id", text),
    Rule("metadata", "gen_ai.tool.definitions", named("tools")),
)

MAPPER = Mapper("gen_ai", "OpenTelemetry GenAI conventions", RULES)
