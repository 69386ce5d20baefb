"""MLflow tracing. Its attributes are JSON texts, single words too (`"LLM"` with its quotes)."""

from typing import Any

from pipeline.events.mapping.readers import amounts, counts, named, one_of, parsed, payload, text
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.model import Usd
from pipeline.events.otlp.span import Span

_TYPES = {
    "LLM": "GENERATION", "CHAT_MODEL": "GENERATION", "EMBEDDING": "EMBEDDING", "CHAIN": "CHAIN", "WORKFLOW": "CHAIN",
    "AGENT": "AGENT", "TOOL": "TOOL", "RETRIEVER": "RETRIEVER", "RERANKER": "RETRIEVER", "GUARDRAIL": "GUARDRAIL",
    "EVALUATOR": "EVALUATOR",
}  # fmt: skip
_COSTS = {"input_cost": "input", "output_cost": "output", "total_cost": "total"}


def _plain(value: Any, span: Span) -> str | None:
    return text(parsed(value), span)


def _said(value: Any, _span: Span) -> str | None:
    found = parsed(value)
    return payload(found if isinstance(found, str) else value)


def _cost(value: Any, span: Span) -> dict[str, Usd] | None:
    found = amounts(value, span)
    return {_COSTS.get(name, name): usd for name, usd in found.items()} if found else None


RULES = (
    Rule("type", "mlflow.spanType", one_of(_TYPES)),
    Rule("input", "mlflow.spanInputs", _said),
    Rule("output", "mlflow.spanOutputs", _said),
    Rule("usage", "mlflow.chat.tokenUsage", counts),
    Rule("cost", "mlflow.llm.cost", _cost),
    Rule("model", "mlflow.llm.model", _plain),
    Rule("user_id", "mlflow.trace.user", _plain),
    Rule("session_id", "mlflow.trace.session", _plain),
    Rule("metadata", "mlflow.chat.tools", named("tools")),
)

MAPPER = Mapper("mlflow", "MLflow", RULES)
