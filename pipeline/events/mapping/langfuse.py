"""Attributes of the Langfuse SDKs of version 3, 4 and 5 (Python) and their siblings in JavaScript.

Version 5 for Python writes every value of metadata as JSON, texts too (in quotes); the versions before write texts
plain, so that a text that looks like a number must stay one. Which it was is told by the scope.
Source: attribute names as recorded from SDK 4.18.0 and 5.0.4, and Langfuse's public documentation.
"""

from typing import Any

from pipeline.events.mapping.readers import (
    always,
    amounts,
    counts,
    environment,
    flag,
    moment,
    one_of,
    parameters,
    parsed,
    payload,
    structure,
    tag_list,
    text,
    whole,
)
from pipeline.events.mapping.rule import IGNORE, Mapper, Rule
from pipeline.events.otlp.span import Span

SCOPE = "langfuse-sdk"
_REFERENCE = '"@@@langfuseMedia:'
_JSON_METADATA_SINCE = 5  # major version of the Python SDK
_TYPES = ("span", "generation", "event", "embedding", "agent", "tool", "chain", "retriever", "guardrail", "evaluator")
_TYPE = one_of({name.upper(): name.upper() for name in _TYPES}, upper=True)
_LEVELS = {
    "DEBUG": "DEBUG", "TRACE": "DEBUG", "VERBOSE": "DEBUG",
    "DEFAULT": "DEFAULT", "INFO": "DEFAULT", "LOG": "DEFAULT", "NOTICE": "DEFAULT", "OK": "DEFAULT",
    "SUCCESS": "DEFAULT", "WARNING": "WARNING", "WARN": "WARNING",
    "ERROR": "ERROR", "FATAL": "ERROR", "CRITICAL": "ERROR",
}  # fmt: skip
_GENERATION_ATTRIBUTES = tuple(
    f"langfuse.observation.{name}"
    for name in (
        "model.name",
        "model.parameters",
        "usage_details",
        "cost_details",
        "prompt.name",
        "completion_start_time",
    )
)
_OLD_SPAN = (3, 3, 0)  # the last Python SDK that called generations spans


def _type(value: Any, span: Span) -> Any:
    found = _TYPE(value, span)
    if found == "SPAN" and span.scope.name.startswith(SCOPE) and _is_python(span):
        old = _version(span) <= _OLD_SPAN
        return "GENERATION" if old and any(name in span.attributes for name in _GENERATION_ATTRIBUTES) else found
    return found


def _metadata(value: Any, span: Span) -> Any:
    """One value of metadata. Version 4 writes a reference to a medium as JSON too, though it is a text."""
    is_json = _writes_json(span) or (isinstance(value, str) and value.startswith(_REFERENCE))
    return parsed(value) if is_json else structure(value)


def _whole_metadata(value: Any, span: Span) -> dict[str, Any] | None:
    found = _metadata(value, span)
    return found if isinstance(found, dict) else None if found in (None, "") else {"metadata": found}


def _below(value: dict[str, Any], span: Span) -> dict[str, Any]:
    return {key: _metadata(item, span) for key, item in value.items()}


def _text_of_metadata(value: Any, span: Span) -> str | None:
    return text(_metadata(value, span), span)


def _experiment(value: dict[str, Any], _span: Span) -> dict[str, Any]:
    """SDK 4 writes each key of the two maps of metadata as an attribute of its own, 3 and 5 the map as JSON."""
    found: dict[str, Any] = {}
    for key, item in sorted(value.items()):  # a map stands before its keys
        owner, inside, name = key.partition("metadata.")
        below = found.setdefault(f"{owner}metadata", {}) if inside else None
        if isinstance(below, dict):
            below[name] = structure(item)
        else:
            found[key] = structure(item)
    return {"experiment": found}


def _writes_json(span: Span) -> bool:
    return span.scope.name == SCOPE and _is_python(span) and _version(span)[0] >= _JSON_METADATA_SINCE


def _is_python(span: Span) -> bool:
    return bool(span.resource.get("telemetry.sdk.language", "python") == "python")


def _version(span: Span) -> tuple[int, ...]:
    """The scope's version as numbers; an unknown one counts as the newest before version 5."""
    parts = span.scope.version.split(".")[:3]
    numbers = tuple(int(part) for part in parts if part.isdecimal() and len(part) < 6)
    return numbers if len(numbers) == len(parts) else (4,)


RULES = (
    Rule("type", "langfuse.observation.type", _type),
    Rule("root", "langfuse.internal.as_root", flag),
    Rule(IGNORE, "langfuse.internal.*", always(True)),
    Rule("input", "langfuse.observation.input", payload),
    Rule("output", "langfuse.observation.output", payload),
    Rule("metadata", "langfuse.observation.metadata", _whole_metadata),
    Rule("metadata", "langfuse.observation.metadata.*", _below),
    Rule("metadata", "langfuse.experiment.*", _experiment),
    Rule("level", "langfuse.observation.level", one_of(_LEVELS, upper=True)),
    Rule("status_message", "langfuse.observation.status_message", text),
    Rule("model", "langfuse.observation.model.name", text),
    Rule("model_parameters", "langfuse.observation.model.parameters", parameters()),
    Rule("usage", "langfuse.observation.usage_details", counts),
    Rule("cost", "langfuse.observation.cost_details", amounts),
    Rule("completion_start_time", "langfuse.observation.completion_start_time", moment),
    Rule("prompt_name", "langfuse.observation.prompt.name", text),
    Rule("prompt_name", "langfuse.prompt.name", text),
    Rule("prompt_version", "langfuse.observation.prompt.version", whole),
    Rule("prompt_version", "langfuse.prompt.version", whole),
    Rule("trace_name", "langfuse.trace.name", text),
    Rule("trace_input", "langfuse.trace.input", payload),
    Rule("trace_output", "langfuse.trace.output", payload),
    Rule("trace_metadata", "langfuse.trace.metadata", _whole_metadata),
    Rule("trace_metadata", "langfuse.trace.metadata.*", _below),
    Rule("trace_metadata", "langfuse.metadata", _whole_metadata),
    Rule("trace_metadata", "langfuse.metadata.*", _below),
    Rule("user_id", "langfuse.user.id", text),
    Rule("user_id", "user.id", text),
    Rule("user_id", "langfuse.observation.metadata.langfuse_user_id", _text_of_metadata),
    Rule("user_id", "langfuse.trace.metadata.langfuse_user_id", _text_of_metadata),
    Rule("session_id", "langfuse.session.id", text),
    Rule("session_id", "session.id", text),
    Rule("session_id", "langfuse.observation.metadata.langfuse_session_id", _text_of_metadata),
    Rule("session_id", "langfuse.trace.metadata.langfuse_session_id", _text_of_metadata),
    Rule("tags", "langfuse.trace.tags", tag_list),
    Rule("tags", "langfuse.tags", tag_list),
    Rule("tags", "langfuse.observation.metadata.langfuse_tags", tag_list),
    Rule("tags", "langfuse.trace.metadata.langfuse_tags", tag_list),
    Rule("public", "langfuse.trace.public", flag),
    Rule("public", "langfuse.public", flag),
    Rule("environment", "langfuse.environment", environment),
    Rule("environment", "resource:langfuse.environment", environment),
    Rule("release", "langfuse.release", text),
    Rule("release", "resource:langfuse.release", text),
    Rule("version", "langfuse.version", text),
    Rule("version", "resource:langfuse.version", text),
)

MAPPER = Mapper("langfuse", "Langfuse SDK 3, 4, 5", RULES)
