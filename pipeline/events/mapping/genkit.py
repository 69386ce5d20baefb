"""Firebase Genkit. Its instrumentation names models, flows, tools and the rest by `genkit:metadata:subtype`."""

from typing import Any

from pipeline.events.mapping.readers import counts, member, named, one_of, parameters, payload, structure, text
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.otlp.span import Span

_MODELS = ("model", "background-model")
_TYPES = {
    "model": "GENERATION", "background-model": "GENERATION", "embedder": "EMBEDDING", "tool": "TOOL",
    "tool.v2": "TOOL", "retriever": "RETRIEVER", "evaluator": "EVALUATOR", "flow": "CHAIN",
}  # fmt: skip


def _model(value: Any, span: Span) -> str | None:
    is_model = span.attributes.get("genkit:metadata:subtype") in (*_MODELS, "embedder")
    return text(value, span) if is_model else None


def _messages(value: Any, _span: Span) -> str | None:
    """A model's input is a request whose messages matter; its output a response whose message does."""
    found = structure(value)
    for name in ("messages", "message"):
        if isinstance(found, dict) and found.get(name):
            return payload(found[name])
    return payload(value)


def _failed(value: Any, _span: Span) -> str | None:
    return "ERROR" if value == "error" else None


RULES = (
    Rule("type", "genkit:metadata:subtype", one_of(_TYPES)),
    Rule("name", "genkit:name", text),
    Rule("input", "genkit:input", _messages),
    Rule("output", "genkit:output", _messages),
    Rule("model", "genkit:name", _model),
    Rule("model_parameters", "genkit:input", member("config", then=parameters())),
    Rule("usage", "genkit:output", member("usage", then=counts)),
    Rule("level", "genkit:state", _failed),
    Rule("session_id", "genkit:sessionId", text),
    Rule("metadata", "genkit:input", member("tools", then=named("tools"))),
)

MAPPER = Mapper("genkit", "Genkit", RULES)
