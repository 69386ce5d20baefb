"""LiveKit Agents (scope `livekit-agents`, attributes `lk.*`)."""

from typing import Any

from pipeline.events.mapping.readers import counts, in_scope, one_of, payload, text
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.otlp.span import Span

SCOPE = "livekit-agents"
_TYPES = {"agent_turn": "AGENT", "start_agent_activity": "AGENT", "function_tool": "TOOL"}


def _type(span: Span, _same: Span) -> Any:
    return one_of(_TYPES)(span.name, span)


def _failed(value: Any, _span: Span) -> str | None:
    return "ERROR" if value is True else None


RULES = (
    Rule("type", "span", in_scope(SCOPE, _type)),
    Rule("input", "lk.user_transcript", payload),
    Rule("input", "lk.user_input", payload),
    Rule("input", "lk.input_text", payload),
    Rule("input", "lk.function_tool.arguments", payload),
    Rule("input", "lk.chat_ctx", payload),
    Rule("output", "lk.response.text", payload),
    Rule("output", "lk.function_tool.output", payload),
    Rule("output", "lk.response.function_calls", payload),
    Rule("name", "lk.function_tool.name", text),
    Rule("level", "lk.function_tool.is_error", _failed),
    Rule("usage", "lk.llm_metrics", in_scope(SCOPE, lambda value, span: _tokens(value))),
)


def _tokens(value: Any) -> dict[str, int] | None:
    """The metrics hold durations, too."""
    found = counts(value) or {}
    return {name: count for name, count in found.items() if name.endswith("_tokens")} or None


MAPPER = Mapper("livekit", "LiveKit Agents", RULES)
