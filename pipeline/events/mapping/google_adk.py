"""Google's Agent Development Kit and Vertex agents (attributes `gcp.vertex.agent.*`).

Request and response are whole JSON objects; on spans of tools both are `{}` and arguments and result stand beside.
"""

from typing import Any

from pipeline.events.mapping.readers import counts, member, parameters, payload, structure, text
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.otlp.span import Span

_PREFIX = "gcp.vertex.agent."


def _spoken(value: Any, _span: Span) -> str | None:
    return payload(value) if structure(value) else None


def _calls_model(value: Any, _span: Span) -> str | None:
    return "GENERATION" if structure(value) else None


RULES = (
    Rule("type", _PREFIX + "llm_request", _calls_model),
    Rule("input", _PREFIX + "llm_request", member("contents")),
    Rule("input", _PREFIX + "llm_request", _spoken),
    Rule("input", _PREFIX + "tool_call_args", payload),
    Rule("input", _PREFIX + "data", payload),
    Rule("output", _PREFIX + "llm_response", member("content")),
    Rule("output", _PREFIX + "llm_response", _spoken),
    Rule("output", _PREFIX + "tool_response", payload),
    Rule("model", _PREFIX + "llm_request", member("model", then=text)),
    Rule("model_parameters", _PREFIX + "llm_request", member("config", then=parameters("tools", "system_instruction"))),
    Rule("usage", _PREFIX + "llm_response", member("usage_metadata", then=lambda value, span: _tokens(value))),
    Rule("session_id", _PREFIX + "session_id", text),
)


def _tokens(value: Any) -> dict[str, int] | None:
    """Counts only: the lists of details by modality repeat them."""
    return counts({name: count for name, count in value.items() if isinstance(count, int)} if value else None)


MAPPER = Mapper("google_adk", "Google ADK, Vertex agents", RULES)
