"""The tool calls that a model asked for, read from its output, whichever provider's or SDK's shape that has.

Each call becomes one JSON text `{"id", "name", "arguments", "type", "index"}` without empty members: `arguments` is
always text (JSON, as the model wrote it), `index` the place among the calls of this output.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from pipeline.events.values import to_text

_HINTS = ("tool_call", "toolCall", "tool_use", "tool-call", "function_call", "functionCall")
_IN_ALL_HINTS = ("tool", "function")  # one of them is in each: two searches say no to most outputs
_TYPES = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "toolCall"})
_INSIDE = (
    "choices", "candidates", "generations", "message", "messages", "output", "content", "parts", "tool_calls",
    "toolCalls", "functionCall", "function_call",
)  # fmt: skip
_WRAPPERS = ("functionCall", "function_call")  # Gemini: {"functionCall": {"name", "args"}}
_NAMES = ("name", "toolName", "tool_name")
_IDS = ("id", "call_id", "toolCallId", "tool_call_id")
_ARGUMENTS = ("arguments", "args", "input")
MAX_DEPTH = 12
MAX_CALLS = 1_000


def tool_calls(output: str) -> list[str]:
    """The calls in `output` in their order; none for text that holds no such JSON."""
    tool, function = _IN_ALL_HINTS
    if output[:1] not in ("{", "[") or (tool not in output and function not in output):
        return []
    if not any(hint in output for hint in _HINTS):
        return []
    try:
        found = orjson.loads(output)
    except orjson.JSONDecodeError:
        return []
    calls: list[str] = []
    for call in _calls(found, "", 0):
        if len(calls) == MAX_CALLS:
            break
        calls.append(to_text({**call, "index": len(calls)}))
    return calls


def _calls(value: Any, where: str, depth: int) -> Iterator[dict[str, Any]]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _calls(item, where, depth + 1)
    elif isinstance(value, dict):
        call = _call(value, where)
        if call is not None:
            yield call
            return
        for name in _INSIDE:
            if name in value:
                yield from _calls(value[name], name, depth + 1)


def _call(value: dict[str, Any], where: str) -> dict[str, Any] | None:
    """The call that `value` is, None where it is something else; `where` is the member that holds it."""
    function = value.get("function")
    body = {**value, **function} if isinstance(function, dict) else value
    name = _first(body, _NAMES)
    if not isinstance(name, str) or not name:
        return None
    is_call = isinstance(function, dict) or value.get("type") in _TYPES or "toolName" in value
    if not is_call and where not in ("tool_calls", "toolCalls", *_WRAPPERS):
        return None
    call = {"id": _first(body, _IDS), "name": name, "arguments": _first(body, _ARGUMENTS), "type": "function"}
    if call["arguments"] is not None:
        call["arguments"] = to_text(call["arguments"])
    return {key: item for key, item in call.items() if item is not None}


def _first(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)
