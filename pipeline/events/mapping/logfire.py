"""Logfire and Pydantic AI, which is instrumented with it.

An agent's span of Pydantic AI sums up the usage of the model calls inside it; usage, cost and model are withheld from
it. A log of Logfire is a moment, so an event. A pending span, which Logfire makes when a span starts, carries the id of
the span that it stands for as its parent; `events.py` turns it into that span's beginning.
"""

from typing import Any

from pipeline.events.mapping.readers import (
    always,
    counts,
    in_scope,
    member,
    named,
    parameters,
    payload,
    structure,
    text,
    total_cost,
)
from pipeline.events.mapping.rule import IGNORE, WITHHOLD, Mapper, Rule
from pipeline.events.otlp.span import Span

PYDANTIC_AI = "pydantic-ai"
_COUNTED = frozenset({"model", "usage", "cost"})
_WARN, _ERROR, _INFO = 13, 17, 9  # logfire.level_num is OpenTelemetry's severity number


def _level(value: Any, _span: Span) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return "ERROR" if value >= _ERROR else "WARNING" if value >= _WARN else "DEFAULT" if value >= _INFO else "DEBUG"


def _questions(value: Any, _span: Span) -> str | None:
    """The messages of `events` that are not the model's answer."""
    found = [item for item in _messages(value) if not _is_choice(item)]
    return payload(found) if found else None


def _answer(value: Any, _span: Span) -> str | None:
    choices = [item for item in _messages(value) if _is_choice(item)]
    return payload(choices[0].get("message", choices[0])) if choices else None


def _messages(value: Any) -> list[dict[str, Any]]:
    found = structure(value)
    return (
        [item for item in found if isinstance(item, dict) and "event.name" in item] if isinstance(found, list) else []
    )


def _is_choice(item: dict[str, Any]) -> bool:
    return item.get("event.name") == "gen_ai.choice"


RULES = (
    Rule(WITHHOLD, "pydantic_ai.all_messages", in_scope(PYDANTIC_AI, always(_COUNTED))),
    Rule(WITHHOLD, "all_messages_events", in_scope(PYDANTIC_AI, always(_COUNTED))),
    Rule(WITHHOLD, "final_result", in_scope(PYDANTIC_AI, always(_COUNTED))),
    Rule("type", "pydantic_ai.all_messages", in_scope(PYDANTIC_AI, always("AGENT"))),
    Rule("type", "all_messages_events", in_scope(PYDANTIC_AI, always("AGENT"))),
    Rule("name", "gen_ai.tool.name", text),
    Rule("name", "logfire.msg", text),
    Rule("input", "events", _questions),
    Rule("input", "prompt", in_scope("logfire", payload)),
    Rule("input", "tool_arguments", payload),
    Rule("input", "pydantic_ai.all_messages", payload),
    Rule("input", "all_messages_events", payload),
    Rule("output", "events", _answer),
    Rule("output", "final_result", payload),
    Rule("output", "tool_response", payload),
    Rule("output", "response_data", in_scope("logfire", member("message"))),
    Rule("usage", "gen_ai.usage.raw", counts),
    Rule("cost", "operation.cost", total_cost),
    Rule("level", "logfire.level_num", _level),
    Rule("model_parameters", "model_request_parameters", parameters("function_tools", "output_tools")),
    Rule("metadata", "model_request_parameters", member("function_tools", then=named("tools"))),
    Rule(IGNORE, "logfire.json_schema", always(True)),
)

MAPPER = Mapper("logfire", "Logfire, Pydantic AI", RULES)
