"""OpenLLMetry (Traceloop): `traceloop.*` for workflows and tasks, indexed `gen_ai.prompt.N.*` for messages.

Newer releases write the message attributes of OpenTelemetry's own conventions, which `gen_ai.py` reads.
"""

from typing import Any

from pipeline.events.mapping.indexed import nested
from pipeline.events.mapping.readers import named, one_of, payload, structure, text, whole
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.otlp.span import Span

_KINDS = {"workflow": "CHAIN", "agent": "AGENT", "tool": "TOOL"}
_REQUESTS = {"chat": "GENERATION", "completion": "GENERATION", "embedding": "EMBEDDING", "rerank": "RETRIEVER"}
_PROPERTIES = "traceloop.association.properties."


def _messages(value: dict[str, Any], _span: Span) -> str | None:
    return payload(nested(value))


def _properties(value: dict[str, Any], _span: Span) -> dict[str, Any]:
    return {key: structure(item) for key, item in value.items()}


def _functions(value: dict[str, Any], _span: Span) -> dict[str, Any]:
    return {"tools": nested({key: structure(item) for key, item in value.items()})}


RULES = (
    Rule("type", "traceloop.span.kind", one_of(_KINDS)),
    Rule("type", "llm.request.type", one_of(_REQUESTS)),
    Rule("input", "traceloop.entity.input", payload),
    Rule("input", "gen_ai.prompt.*", _messages),
    Rule("output", "traceloop.entity.output", payload),
    Rule("output", "gen_ai.completion.*", _messages),
    Rule("user_id", _PROPERTIES + "user_id", text),
    Rule("user_id", _PROPERTIES + "userId", text),
    Rule("session_id", _PROPERTIES + "session_id", text),
    Rule("session_id", _PROPERTIES + "sessionId", text),
    Rule("prompt_name", "traceloop.prompt.key", text),
    Rule("prompt_version", "traceloop.prompt.version", whole),
    Rule("metadata", _PROPERTIES + "*", _properties),
    Rule("metadata", "llm.request.functions.*", _functions),
    Rule("metadata", "traceloop.prompt.template_variables", named("prompt_variables")),
)

MAPPER = Mapper("traceloop", "OpenLLMetry (Traceloop)", RULES)
