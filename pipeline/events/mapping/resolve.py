"""Apply the rules to a span: its fields, which rule set each, and what no rule has used.

Rule: the rules that concern the span are asked in order of precedence; a reader runs only where its field is still
open. What a rule used is gone from the rest; what lost to another rule stays in it, unless it is bulky.
How it fails: not at all. A value that its rules cannot read stays where people can see it, in the rest.
"""

from typing import Any, NamedTuple

from pipeline.events.mapping.rule import BULKY, IGNORE, MERGED, WITHHOLD
from pipeline.events.mapping.table import RULES, Plan, Rank, Source, plan_for
from pipeline.events.otlp.span import Attributes, Span

_OPEN = MERGED | {WITHHOLD, IGNORE}  # fields that more than one rule may set


class Resolved(NamedTuple):
    """`fields` by name, the ranks of the rules that `origins` names for each, and attributes that nothing used."""

    fields: dict[str, Any]
    origins: dict[str, list[Rank]]
    rest: Attributes


def resolve(span: Span) -> Resolved:
    """What a span says, in the fields of `rule.FIELDS`."""
    attributes = span.attributes
    plan = plan_for(tuple(attributes), has_events=bool(span.events))
    fields: dict[str, Any] = {}
    origins: dict[str, list[Rank]] = {}
    withheld: frozenset[str] = frozenset()
    for rank, rule, source, name, group in plan.steps:
        field = rule.field
        if (field in fields and field not in _OPEN) or field in withheld:
            continue
        if source == "attribute":
            given = attributes[name]
        elif source == "resource":
            given = span.resource.get(name)
        elif source == "group":
            given = {below: attributes[full] for full, below in group}
        else:
            given = _looked_at(source, name, span, fields)
        if given is None:
            continue
        try:
            value = rule.read(given, span)
        except (ValueError, OverflowError):  # it is not of the kind that the rule reads; it stays in the rest
            continue
        if value is not None:
            _set(fields, field, value)
            withheld = fields.get(WITHHOLD, withheld)
            origins.setdefault(field, []).append(rank)
    rest = {name: attributes[name] for name in plan.rest}
    _keep_unused(plan, attributes, fields, origins, rest)
    return Resolved(fields, origins, rest)


def _looked_at(source: Source, name: str, span: Span, fields: dict[str, Any]) -> Any:
    if source == "event":
        return [event for event in span.events if event.name == name] or None
    return fields.get(name) if source == "field" else span


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
    plan: Plan, attributes: Attributes, fields: dict[str, Any], origins: dict[str, list[Rank]], rest: Attributes
) -> None:
    used = {rank for ranks in origins.values() for rank in ranks}
    for name, ranks in plan.asked:
        if used.isdisjoint(ranks):
            said_elsewhere = any(RULES[rank].rule.field in BULKY & fields.keys() for rank in ranks)
            if not said_elsewhere:
                rest[name] = attributes[name]
