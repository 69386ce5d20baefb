"""Usage as clients report it, made canonical: disjoint keys that add up, plus `total`.

The problem: one client's `input` includes the cached tokens, another's stands beside them. The rule: the spelling
tells. Nested details (`prompt_tokens_details.cached_tokens`) and Gemini's `cached_content_token_count` are parts of the
count they detail and are taken out of it; other flat keys (`cache_read_input_tokens`, `input_cached_tokens`) stand
beside it. A part that is given in both ways is one count. Keys that no rule knows are kept as they are. A total that
differs from the sum of the parts is kept and flagged.
"""

from typing import NamedTuple

from pipeline.events.flags import Flag

Usage = dict[str, int]

# Spelling -> canonical key, for counts that stand for themselves.
FLAT: dict[str, str] = {
    "input": "input", "input_tokens": "input", "prompt_tokens": "input", "promptTokens": "input",
    "inputTokens": "input", "prompt_token_count": "input", "promptTokenCount": "input",
    "output": "output", "output_tokens": "output", "completion_tokens": "output", "completionTokens": "output",
    "outputTokens": "output", "candidates_token_count": "output", "candidatesTokenCount": "output",
    "input_cached": "input_cached", "input_cached_tokens": "input_cached", "input_cache_read": "input_cached",
    "cache_read_input_tokens": "input_cached", "cached_tokens": "input_cached",
    "input_cache_creation": "input_cache_write_5m", "cache_creation_input_tokens": "input_cache_write_5m",
    "input_cache_creation_5m": "input_cache_write_5m", "cache_write_tokens": "input_cache_write_5m",
    "input_cache_write_5m": "input_cache_write_5m", "input_cache_write_1h": "input_cache_write_1h",
    "input_cache_creation_1h": "input_cache_write_1h",
    "input_audio": "input_audio", "input_audio_tokens": "input_audio", "input_image": "input_image",
    "output_reasoning": "output_reasoning", "output_reasoning_tokens": "output_reasoning",
    "reasoning_tokens": "output_reasoning", "thoughts_token_count": "output_reasoning",
    "thoughtsTokenCount": "output_reasoning", "output_audio": "output_audio", "output_audio_tokens": "output_audio",
}  # fmt: skip

TOTALS = frozenset({"total", "total_tokens", "totalTokens", "total_token_count", "totalTokenCount"})

_INPUT_PARTS = {"cached_tokens": "input_cached", "audio_tokens": "input_audio", "image_tokens": "input_image"}
_OUTPUT_PARTS = {"reasoning_tokens": "output_reasoning", "audio_tokens": "output_audio"}
_CACHE_WRITES = {
    "ephemeral_5m_input_tokens": "input_cache_write_5m", "ephemeral_1h_input_tokens": "input_cache_write_1h",
}  # fmt: skip

# Where nested details stand: the prefix -> (the canonical key they are parts of, their names).
NESTED: dict[str, tuple[str, dict[str, str]]] = {
    "prompt_tokens_details": ("input", _INPUT_PARTS),
    "input_tokens_details": ("input", _INPUT_PARTS),
    "completion_tokens_details": ("output", _OUTPUT_PARTS),
    "output_tokens_details": ("output", _OUTPUT_PARTS),
    "cache_creation": ("input_cache_write_5m", _CACHE_WRITES),  # Anthropic: beside the flat count of both
}

# Flat spellings of parts: the name -> (the canonical key it is a part of, its own canonical key).
INCLUDED: dict[str, tuple[str, str]] = {
    "cached_content_token_count": ("input", "input_cached"),
    "cachedContentTokenCount": ("input", "input_cached"),
}


class Normalised(NamedTuple):
    """Canonical usage, "total" included, and what was odd about it."""

    usage: Usage
    flags: tuple[str, ...]


def normalise(given: Usage) -> Normalised:
    """Canonical usage of what a client sent: disjoint non-negative counts. An empty map stays empty."""
    usage: Usage = {}
    parts: dict[str, Usage] = {}
    total: int | None = None
    for key, count in given.items():
        prefix, dot, name = key.partition(".")
        if key in TOTALS:
            total = count
        elif dot and prefix in NESTED:
            whole, names = NESTED[prefix]
            if name in names:
                _raise_to(parts.setdefault(whole, {}), names[name], count)
        elif key in INCLUDED:
            whole, name = INCLUDED[key]
            _raise_to(parts.setdefault(whole, {}), name, count)
        else:
            name = FLAT.get(key, key)
            usage[name] = usage.get(name, 0) + count
    flags: set[str] = set()
    for whole, details in parts.items():
        _take_out(usage, whole, details, flags)
    if not usage and total is None:
        return Normalised({}, ())
    added = sum(usage.values())
    if total is not None and usage and total != added:
        flags.add(Flag.TOTAL_MISMATCH)
    usage["total"] = added if total is None else total
    return Normalised(usage, tuple(sorted(flags)))


def _take_out(usage: Usage, whole: str, details: Usage, flags: set[str]) -> None:
    """Details of a count become keys of their own and leave the count; it never goes below zero."""
    rest = usage.get(whole, 0) - sum(details.values())
    if rest < 0:
        flags.add(Flag.NEGATIVE_USAGE)
    usage[whole] = max(rest, 0)
    for name, count in details.items():
        if count:
            _raise_to(usage, name, count)


def _raise_to(counts: Usage, name: str, count: int) -> None:
    """One count that is given twice counts once."""
    counts[name] = max(counts.get(name, 0), count)
