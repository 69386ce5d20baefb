"""Usage as clients report it, made canonical: disjoint keys that add up, plus `total`.

The problem: one client's input includes the cached tokens, another's stands beside them. Rule:
1. The spelling of the keys tells the source, and so its rule (usage_rules.py).
2. Where a total was given and the rule's reading does not add up to it, but another reading does (the parts inside
   their whole, or beside it), that reading is right, and the rule's id says so: `otel-genai/input-beside`.
3. Without a total the rule's reading holds, unless a part is larger than the whole it should be inside; then it
   stands beside, except in the formats of providers themselves, where the row is flagged.
A count that is given twice is one count (the larger). Keys that no rule knows are kept as they are. A total that no
reading gives is kept and flagged. Units that are no tokens (requests, seconds) are not part of the total.
"""

from itertools import product
from typing import NamedTuple

from pipeline.cost.usage_rules import NOT_TOKENS
from pipeline.cost.usage_shape import Shape, Usage, shape_of
from pipeline.events.flags import Flag


class Normalised(NamedTuple):
    """Canonical usage, "total" included, what was odd about it, and by which rule it was read."""

    usage: Usage
    flags: tuple[str, ...]
    rule: str


class _Side(NamedTuple):
    """The input or the output: a whole, if it was given, and its parts."""

    name: str
    whole: int | None
    parts: Usage


_NOTHING = Normalised({}, (), "")


def normalise(given: Usage, model: str = "") -> Normalised:
    """Canonical usage of what a client sent for a model: disjoint non-negative counts. An empty map stays empty."""
    if not given:
        return _NOTHING
    shape = shape_of(given, model)
    if not shape.counts:
        return _NOTHING
    usage = _read_quickly(given, shape) if shape.quick else None
    return _read(given, shape) if usage is None else Normalised(usage, (), shape.rule.id)


def _read_quickly(given: Usage, shape: Shape) -> Usage | None:
    """The rule's reading, where it adds up; else None."""
    usage: Usage = {}
    for whole, name, parts in shape.quick:
        count = 0
        if whole:
            count = usage[name] = given[whole]
        for key, part, inside in parts:
            some = given[key]
            if some:
                usage[part] = some
                if inside and whole:
                    count -= some
                    usage[name] = count
        if count < 0:
            return None
    added = sum(usage.values())
    if shape.total and given[shape.total] != added:
        return None
    usage["total"] = added
    return usage


def _read(given: Usage, shape: Shape) -> Normalised:
    """The reading that adds up: the rule's, else another one that gives the total."""
    counts: Usage = {}
    for key, name in shape.counts:
        counts[name] = max(counts.get(name, 0), given[key])
    total = counts.pop("total", None)
    _split_cache_writes(counts)
    sides = [_side(name, counts) for name in ("input", "output")]
    rest = {name: count for name, count in counts.items() if name not in _named(sides)}
    readings = [_readings(side, shape, total) for side in sides]
    chosen, usage = _choose(readings, rest, total)
    flags = {Flag.NEGATIVE_USAGE for reading in chosen if reading.negative}
    suffix = "".join(f"/{side.name}-{r.how}" for side, r in zip(sides, chosen, strict=True) if r.how)
    added = sum(count for name, count in usage.items() if name not in NOT_TOKENS)
    if total is None:
        usage["total"] = added
    else:
        usage["total"] = total
        if total != added and added:
            flags.add(Flag.TOTAL_MISMATCH)
    return Normalised(usage, tuple(sorted(flags)), shape.rule.id + suffix)


class _Reading(NamedTuple):
    """One way to understand a side: its disjoint counts, and in which way it departs from the rule."""

    usage: Usage
    how: str
    negative: bool = False


def _choose(readings: list[list[_Reading]], rest: Usage, total: int | None) -> tuple[tuple[_Reading, ...], Usage]:
    """The first combination, the rule's own before all others, that gives the total; else the rule's own."""
    combinations = list(product(*readings))
    for combination in combinations:
        usage = {**combination[0].usage, **combination[1].usage, **rest}
        if total is None or total == sum(count for name, count in usage.items() if name not in NOT_TOKENS):
            return combination, usage
    first = combinations[0]
    return first, {**first[0].usage, **first[1].usage, **rest}


def _side(name: str, counts: Usage) -> _Side:
    parts = {key: count for key, count in counts.items() if key.startswith(f"{name}_") and key not in NOT_TOKENS}
    return _Side(name, counts.get(name), parts)


def _named(sides: list[_Side]) -> set[str]:
    return {name for side in sides for name in (side.name, *side.parts)}


def _readings(side: _Side, shape: Shape, total: int | None) -> list[_Reading]:
    """The rule's reading first; then, where a whole has parts that count, all of them inside and all beside."""
    inside = {name for name in side.parts if name in shape.inside or _within(name) in shape.inside}
    stated = _separate(side, inside, "")
    if side.whole is None or not any(side.parts.values()):
        return [stated]
    others = [
        _separate(side, other, how)
        for how, other in (("beside", set[str]()), ("inside", set(side.parts)))
        if other != inside
    ]
    others = [reading for reading in others if not reading.negative]
    if total is None:
        return [others[0]] if stated.negative and others and not shape.rule.strict else [stated]
    return [stated, *others]


def _within(name: str) -> str:
    """Cache writes of a kind are inside where cache writes are; cached audio where cached tokens are."""
    if name.startswith("input_cache_write_"):
        return "input_cache_write"
    return "input_cached" if name.startswith("input_cached_") else name


def _separate(side: _Side, inside: set[str], how: str) -> _Reading:
    """Disjoint counts: what is inside leaves the whole, which never goes below zero."""
    parts = dict(side.parts)
    _split_cached_modalities(parts)
    whole = side.whole
    negative = False
    if whole is not None:
        excess = sum(count for name, count in parts.items() if name in inside) - whole
        if excess > 0 and "input_cached" in inside:
            excess = _cached_before_fresh(parts, inside, excess)
        negative = excess > 0
        whole = max(-excess, 0) if inside else whole
    text = parts.pop(f"{side.name}_text", 0)  # text is what a whole is made of when nothing else is said
    if whole is not None or text:
        parts[side.name] = (whole or 0) + (text if f"{side.name}_text" not in inside else 0)
    ordered = {side.name: parts.pop(side.name)} if side.name in parts else {}
    return _Reading({**ordered, **{name: count for name, count in parts.items() if count}}, how, negative)


def _split_cache_writes(counts: Usage) -> None:
    """A count of all cache writes, less those given by lifetime; the rest lives five minutes, as it does by default."""
    written = counts.pop("input_cache_write", 0)
    rest = written - counts.get("input_cache_write_5m", 0) - counts.get("input_cache_write_1h", 0)
    if rest > 0:
        counts["input_cache_write_5m"] = counts.get("input_cache_write_5m", 0) + rest


def _split_cached_modalities(parts: Usage) -> None:
    """Cached audio is counted among the cached tokens and among the audio: it leaves both."""
    for modality in ("audio", "image", "video"):
        cached = parts.get(f"input_cached_{modality}", 0)
        for name in ("input_cached", f"input_{modality}") if cached else ():
            if name in parts:
                parts[name] = max(parts[name] - cached, 0)


def _cached_before_fresh(parts: Usage, inside: set[str], excess: int) -> int:
    """Where audio and cached tokens overlap and nobody says how far, what is cached is cached. The excess left."""
    for name in ("input_audio", "input_image", "input_video"):
        if name in inside and name in parts:
            less = min(parts[name], excess)
            parts[name] -= less
            excess -= less
    return excess
