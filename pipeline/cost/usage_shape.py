"""What the keys of a usage map mean: the rule that their spelling tells, and the canonical name of each that counts.

Maps come in few shapes, so a set of keys is looked at once and remembered; of those that clients make up, so many.
"""

from typing import NamedTuple

from pipeline.cost.usage_rules import DETAILS, IGNORED, NOT_TOKENS, PREFIXES, RULES, SPELLINGS, WHOLES, Rule

Usage = dict[str, int]

MAX_SHAPES = 5_000  # sets of keys that are remembered; clients can make up any number
_MODELS = tuple(rule.model for rule in RULES if rule.model)


class Quick(NamedTuple):
    """A whole and its parts by key; a part is counted in its whole or beside it. `key` is "" for what is no whole."""

    key: str
    name: str
    parts: tuple[tuple[str, str, bool], ...]  # key, canonical name, inside


class Shape(NamedTuple):
    """What a set of keys means: spelling and canonical name of each key that counts, and where its parts stand."""

    rule: Rule
    counts: tuple[tuple[str, str], ...]
    inside: frozenset[str]  # canonical names of parts that are counted in their whole
    quick: tuple[Quick, ...]  # how to read it when all is as the rule says; empty where it has to be tried
    total: str  # the key that gives the total
    by_model: bool  # the same keys mean something else for some models


_shapes: dict[tuple[object, ...], Shape] = {}


def shape_of(given: Usage, model: str = "") -> Shape:
    """The rule and the meaning of a usage map's keys; remembered by the keys."""
    shape = _remembered(tuple(given), "")
    if shape.by_model:
        lower = model.lower()
        shape = _remembered(tuple(given), next((name for name in _MODELS if name in lower), ""))
    return shape


def _remembered(keys: tuple[str, ...], model: str) -> Shape:
    shape = _shapes.get((keys, model))
    if shape is None:
        shape = _shape(keys, model)
        if len(_shapes) < MAX_SHAPES:
            _shapes[keys, model] = shape
    return shape


def _shape(keys: tuple[str, ...], model: str) -> Shape:
    bare = {key: next((key[len(p) :] for p in PREFIXES if key.startswith(p)), key) for key in keys}
    names = {*keys, *bare.values()}
    rule = next(rule for rule in RULES if _applies(rule, names, model))
    by_model = any(rule.model and _applies(rule, names, rule.model) for rule in RULES)
    counts, inside = [], set()
    for key, name in bare.items():
        if name in rule.inside:
            canonical = rule.inside[name]
            inside.add(canonical)
        elif name in IGNORED or name in rule.ignored:
            continue
        else:
            canonical = rule.beside.get(name) or WHOLES.get(name) or SPELLINGS.get(name) or name
            if canonical == name and name.startswith(DETAILS):
                continue
        counts.append((key, canonical))
    total = next((key for key, name in counts if name == "total"), "")
    return Shape(rule, tuple(counts), frozenset(inside), _quick(counts, inside), total, by_model)


def _quick(counts: list[tuple[str, str]], inside: set[str]) -> tuple[Quick, ...]:
    """A plan for shapes where nothing is given twice, split further or no token; () for the others."""
    by_name = {name: key for key, name in counts}
    hard = ("input_cache_write", "input_text", "output_text", *NOT_TOKENS)
    if len(by_name) < len(counts) or any(name in hard or name.startswith("input_cached_") for name in by_name):
        return ()
    plan = []
    for side in ("input", "output"):
        parts = tuple((key, name, name in inside) for name, key in by_name.items() if name.startswith(f"{side}_"))
        if side in by_name or parts:
            plan.append(Quick(by_name.get(side, ""), side, parts))
    named = {part for quick in plan for part in (quick.name, *(name for _, name, _ in quick.parts))}
    plan += [Quick(key, name, ()) for name, key in by_name.items() if name not in named and name != "total"]
    return tuple(plan)


def _applies(rule: Rule, keys: set[str], model: str) -> bool:
    def there(marks: tuple[str, ...]) -> bool:
        return any(key.startswith(mark) if mark.endswith(".") else key == mark for mark in marks for key in keys)

    return (
        (not rule.marks or there(rule.marks))
        and (not rule.also or there(rule.also))
        and (not rule.model or rule.model in model)
    )
