"""The texts that a call's input or output is made of, as its tokenizer counts them, and what the chat format adds.

A list of messages (alone, or under "messages") costs what the chat format costs: 3 tokens a message, 1 more for a name,
3 at the end for the answer to come; counted are the role, the texts of the content, the name and the tool calls. This
is the formula of OpenAI's cookbook ("How to count tokens with tiktoken"). Images, audio and files inside the content
are not counted: their tokens cannot be told from their bytes. Anything else is counted as the text it is.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

PER_MESSAGE = 3
PER_NAME = 1
AT_THE_END = 3
MAX_MESSAGES = 10_000
_CALLS = ("tool_calls", "function_call", "toolCalls", "functionCall", "refusal")


class Texts(NamedTuple):
    """Texts to be counted one by one, and tokens that come on top."""

    texts: list[str]
    overhead: int


def input_texts(text: str) -> Texts:
    """What a prompt is made of."""
    messages = _messages(_parsed(text))
    if messages is None:
        return Texts([text], 0)
    overhead = AT_THE_END + sum(PER_MESSAGE + PER_NAME * bool(message.get("name")) for message in messages)
    return Texts([part for message in messages for part in _parts(message)], overhead)


def output_texts(text: str) -> Texts:
    """What an answer is made of: the texts of an assistant's message, else the text itself."""
    value = _parsed(text)
    if isinstance(value, dict) and "role" in value and ("content" in value or any(key in value for key in _CALLS)):
        return Texts([part for part in _parts({**value, "role": ""}) if part], 0)
    return Texts([text], 0)


def _parsed(text: str) -> Any:
    if not text.startswith(("[", "{")):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _messages(value: Any) -> list[dict[str, Any]] | None:
    if isinstance(value, dict):
        value = value.get("messages")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_MESSAGES:
        return None
    return value if all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in value) else None


def _parts(message: dict[str, Any]) -> Iterator[str]:
    if message["role"]:
        yield message["role"]
    if message.get("name"):
        yield str(message["name"])
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield part
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
    for key in _CALLS:
        if message.get(key):
            value = message[key]
            yield value if isinstance(value, str) else orjson.dumps(value).decode()
