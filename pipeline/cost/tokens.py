"""Tokens of calls whose client gave no usage: counted with the model's own tokenizer, or estimated by a stated rule.

Rule: counted is a call (of type GENERATION or EMBEDDING: a span around it may name its model, too, and must not cost
the same again) that has ended or has an output, whose model is known, and that has text. A call that failed
(level ERROR) without an output was not charged and is not counted. Models of OpenAI's families have their tokenizer;
others are taken to have one token for every 4 bytes of UTF-8 (which is 4 characters of English). The row says
`usage_source = estimated`, and `usage_rule` says how: `tiktoken:o200k_base` or `bytes/4`.
Bounds: of a text longer than MAX_CHARACTERS only the beginning is counted and the count scaled up (`+scaled`).
Counts are remembered by a hash of the text, so prompts that repeat cost a look-up; `warm` fills that memory from any
thread. What comes out never depends on what is remembered.
"""

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import xxhash

from pipeline.cost.prompts import Texts, input_texts, output_texts
from pipeline.cost.vocabulary import encoding
from pipeline.events.model import Fields

MAX_CHARACTERS = 2**20
PIECE = 2**18  # characters that the tokenizer is given at a time; see `_pieces`
KEPT = 50_000  # counts in each of two generations; 16 bytes of hash and a number each
BYTES_PER_TOKEN = 4
CALLS = frozenset({"GENERATION", "EMBEDDING"})

# Beginnings of model names (a provider in front is taken off) -> tiktoken's encoding.
# Source: tiktoken/model.py and OpenAI's model pages; the first that fits counts.
ENCODINGS: tuple[tuple[str, str], ...] = (
    (r"gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|o1|o3|o4|codex-mini|omni-moderation", "o200k_base"),
    (r"gpt-4|gpt-3\.5|gpt-35|text-embedding-(ada-002|3-)|davinci-002|babbage-002", "cl100k_base"),
)
# Families that are priced by tokens and have no public tokenizer at hand: the stated estimate holds for them.
FAMILIES = re.compile(
    r"claude|gemini|gemma|mistral|mixtral|codestral|magistral|ministral|pixtral|command|grok|deepseek|llama|qwen|nova|"
    r"titan|phi-|sonar|kimi|glm|embed",
)


class Counted(NamedTuple):
    """Canonical usage from counted text, and how it was counted."""

    usage: dict[str, int]
    method: str


class Text(NamedTuple):
    """A text that will be counted for a model, and on which side of the call it stands."""

    model: str
    text: str
    is_input: bool


class TokenCounter:
    """Counts tokens; one instance is shared by the threads of a process."""

    def __init__(self) -> None:
        self._young: dict[tuple[str, bytes], int] = {}
        self._old: dict[tuple[str, bytes], int] = {}

    def count(self, model: str, fields: Fields) -> Counted | None:
        """Usage of a call by its text; None where the rule says not to count it."""
        output = fields.get("output", "")
        if not is_call(fields) or not is_finished(fields) or (fields.get("level") == "ERROR" and not output):
            return None
        method = method_of(model)
        text = fields.get("input", "")
        if not method or not (text or output):
            return None
        usage: dict[str, int] = {}
        scaled = False
        for key, value, texts_of in (("input", text, input_texts), ("output", output, output_texts)):
            if value:
                usage[key] = self._count(method, texts_of(value[:MAX_CHARACTERS]), len(value))
                scaled |= len(value) > MAX_CHARACTERS
        usage["total"] = sum(usage.values())
        return Counted(usage, _named(method) + "+scaled" * scaled)

    def warm(self, texts: Iterable[Text]) -> None:
        """Count texts beforehand. Blocks for as long as that takes: call it from a thread."""
        for model, text, is_input in texts:
            method = method_of(model)
            if method in _TOKENIZERS and text:
                made = (input_texts if is_input else output_texts)(text[:MAX_CHARACTERS])
                self._count(method, made, len(text))

    def _count(self, method: str, made: Texts, length: int) -> int:
        tokens = made.overhead + sum(self._tokens(method, text) for text in made.texts)
        return tokens if length <= MAX_CHARACTERS else math.ceil(tokens * length / MAX_CHARACTERS)

    def _tokens(self, method: str, text: str) -> int:
        if not text:
            return 0
        raw = text.encode("utf-8", "surrogatepass")
        tokenizer = encoding(method) if method in _TOKENIZERS else None
        if tokenizer is None:
            return -(-len(raw) // BYTES_PER_TOKEN)
        key = (method, xxhash.xxh3_128_digest(raw))
        count = self._young.get(key)
        if count is None:
            count = self._old.get(key)
            if count is None:
                count = sum(len(tokenizer.encode_ordinary(piece)) for piece in _pieces(text))
            if len(self._young) >= KEPT:
                self._young, self._old = {}, self._young
            self._young[key] = count
        return count


def _pieces(text: str) -> Iterable[str]:
    """The text in parts: tiktoken's pattern panics on a million spaces in a row, and a panic ends the process.

    A part more costs a token more at the most.
    """
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE)) if len(text) > PIECE else (text,)


_TOKENIZERS = frozenset(name for _, name in ENCODINGS)
_ESTIMATE = f"bytes/{BYTES_PER_TOKEN}"


@lru_cache(4_096)
def method_of(model: str) -> str:
    """The encoding of a model's tokenizer, or the stated estimate; "" for a model that nobody knows."""
    name = model[:200].lower().rpartition("/")[2]
    for pattern, method in ENCODINGS:
        if re.match(pattern, name):
            return method
    return _ESTIMATE if FAMILIES.search(name) else ""


def has_tokenizer(model: str) -> bool:
    """True where counting is work, so that it should be done beforehand."""
    return method_of(model) in _TOKENIZERS


def is_call(fields: Fields) -> bool:
    """Only calls of models are counted, by the type that a create gave, else the one that an update implies."""
    return (fields.get("type") or fields.get("type_provisional")) in CALLS


def is_finished(fields: Fields) -> bool:
    """Only then is a call counted: before, its usage may still come."""
    return "output" in fields or "end_time" in fields


def _named(method: str) -> str:
    if method not in _TOKENIZERS:
        return method
    return f"tiktoken:{method}" if encoding(method) is not None else _ESTIMATE
