"""Apply the rules to a span: its fields, which rule set each, and what no rule has used.

Rule: candidates are collected once per attribute, then asked in order of precedence; a reader runs only where its field
is still open. What a rule used is gone from the rest; what lost to another rule stays in it, unless it is bulky.
How it fails: not at all. A value that its rules cannot read stays where people can see it, in the rest.
"""

from typing import Any, NamedTuple

from pipeline.events.mapping.rule import BULKY, IGNORE, MERGED, WITHHOLD, Rule
from pipeline.events.mapping.table import (
    CONCLUSIONS,
    EVENTS,
    ON_EVERY_SPAN,
    RESOURCES,
    RULES,
    Concerned,
    Rank,
    concerned,
)
from pipeline.events.otlp.span import Attributes, Span


class Resolved(NamedTuple):
    """`fields` by name, the ranks of the rules that `origins` names for each, and attributes that nothing used."""

    fields: dict[str, Any]
    origins: dict[str, list[Rank]]
    rest: Attributes


def resolve(span: Span) -> Resolved:
    """What a span says, in the fields of `rule.FIELDS`."""
    rest: Attributes = {}
    asked: list[tuple[str, Any, Concerned]] = []
    found = _candidates(span, asked, rest)
    fields: dict[str, Any] = {}
    origins: dict[str, list[Rank]] = {}
    for rank in sorted(found):
        rule = RULES[rank].rule
        field = rule.field
        if field in fields and field not in MERGED and field not in (WITHHOLD, IGNORE):
            continue
        if WITHHOLD in fields and field in fields[WITHHOLD]:
            continue
        value = _read(rule, fields.get(CONCLUSIONS[rank]) if rank in CONCLUSIONS else found[rank], span)
        if value is not None:
            _set(fields, field, value)
            origins.setdefault(field, []).append(rank)
    _keep_unused(asked, fields, origins, rest)
    return Resolved(fields, origins, rest)


def _candidates(span: Span, asked: list[tuple[str, Any, Concerned]], rest: Attributes) -> dict[Rank, Any]:
    """What each rule has to look at; attributes that concern no rule go to `rest`, the others to `asked`."""
    found: dict[Rank, Any] = dict.fromkeys(ON_EVERY_SPAN, span)
    for name, value in span.attributes.items():
        hits = concerned(name)
        if not hits:
            rest[name] = value
        elif value is not None:
            asked.append((name, value, hits))
            for rank, below in hits:
                if below:
                    found.setdefault(rank, {})[below] = value
                else:
                    found[rank] = value
    for name, ranks in RESOURCES.items():
        if name in span.resource:
            found.update(dict.fromkeys(ranks, span.resource[name]))
    for event in span.events:
        for rank in EVENTS.get(event.name, ()):
            found.setdefault(rank, []).append(event)
    return found


def _read(rule: Rule, value: Any, span: Span) -> Any:
    if value is None:
        return None
    try:
        return rule.read(value, span)
    except (ValueError, OverflowError):  # the value is not of the kind that the rule reads; it stays in the rest
        return None


def _set(fields: dict[str, Any], field: str, value: Any) -> None:
    known = fields.get(field)
    if known is None or field == IGNORE:
        fields[field] = value
    elif field == WITHHOLD:
        fields[field] = known | value
    elif isinstance(known, dict):
        fields[field] = known | {name: item for name, item in value.items() if name not in known}
    else:
        fields[field] = [*known, *value]


def _keep_unused(
    asked: list[tuple[str, Any, Concerned]], fields: dict[str, Any], origins: dict[str, list[Rank]], rest: Attributes
) -> None:
    used = {rank for ranks in origins.values() for rank in ranks}
    for name, value, hits in asked:
        if used.isdisjoint(rank for rank, _ in hits):
            said_elsewhere = any(RULES[rank].rule.field in BULKY & fields.keys() for rank, _ in hits)
            if not said_elsewhere:
                rest[name] = value
