"""What every span of OpenTelemetry has, and plain attributes that many programs use: the rules that are asked last."""

from pipeline.events.mapping.readers import always, environment, one_of, payload, text
from pipeline.events.mapping.rule import Mapper, Rule
from pipeline.events.otlp.span import ERROR, Span, SpanEvent


def _failed(span: Span, _same: Span) -> str | None:
    return "ERROR" if span.status == ERROR else None


def _message(span: Span, _same: Span) -> str | None:
    return span.status_message or None


def _exception(events: list[SpanEvent], span: Span) -> str | None:
    """Of a span that failed without a message; an exception alone, which may have been dealt with, is no failure."""
    if span.status != ERROR:
        return None
    said = [text(events[-1].attributes.get(f"exception.{part}"), span) for part in ("type", "message")]
    return ": ".join(part for part in said if part) or None


def _name(span: Span, _same: Span) -> str | None:
    return span.name or None


RULES = (
    Rule("name", "span", _name),
    Rule("level", "span", _failed),
    Rule("status_message", "span", _message),
    Rule("status_message", "event:exception", _exception),
    Rule("model", "llm.response.model", text),
    Rule("model", "llm.request.model", text),
    Rule("model", "model", text),
    Rule("input", "input", payload),
    Rule("output", "output", payload),
    Rule("environment", "deployment.environment.name", environment),
    Rule("environment", "resource:deployment.environment.name", environment),
    Rule("environment", "deployment.environment", environment),
    Rule("environment", "resource:deployment.environment", environment),
    Rule("version", "resource:service.version", text),
    Rule("type", "field:model", always("GENERATION")),
    Rule("type", "logfire.span_type", one_of({"log": "EVENT"})),
    Rule("user_id", "enduser.id", text),
)

MAPPER = Mapper("otel", "OpenTelemetry, any span", RULES)
