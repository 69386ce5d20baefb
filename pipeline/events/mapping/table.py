"""All rules in order of precedence, and which of them a span's attributes concern.

A span has twenty attributes and there are two hundred rules. Spans of one instrumentation have the same names again and
again, so what there is to ask, and in which order, is worked out once for each set of names and remembered. Names come
from clients: there is a bound to that.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from pipeline.events.mapping import (
    gen_ai,
    genkit,
    google_adk,
    langfuse,
    livekit,
    logfire,
    mlflow,
    openinference,
    otel,
    traceloop,
    vercel,
)
from pipeline.events.mapping.rule import Mapper, Rule

MAPPERS: tuple[Mapper, ...] = (
    langfuse.MAPPER,
    openinference.MAPPER,
    genkit.MAPPER,
    vercel.MAPPER,
    livekit.MAPPER,
    google_adk.MAPPER,
    logfire.MAPPER,
    mlflow.MAPPER,
    traceloop.MAPPER,
    gen_ai.MAPPER,
    otel.MAPPER,
)

Rank = int  # place of a rule in the order of precedence, the lowest wins
_LONGEST_REMEMBERED = 4_000  # characters of all names of a span
_REMEMBERED = 1_024


class Ranked(NamedTuple):
    """A rule and the mapper that it is of."""

    mapper: str
    rule: Rule


RULES: tuple[Ranked, ...] = tuple(Ranked(mapper.name, rule) for mapper in MAPPERS for rule in mapper.rules)


def _by_source(prefix: str) -> dict[str, tuple[Rank, ...]]:
    """The rules whose source begins with `prefix`, by the rest of it."""
    found: defaultdict[str, list[Rank]] = defaultdict(list)
    for rank, (_, rule) in enumerate(RULES):
        if rule.source.startswith(prefix):
            found[rule.source.removeprefix(prefix)].append(rank)
    return {source: tuple(ranks) for source, ranks in found.items()}


EVENTS = _by_source("event:")
_SPECIAL = ("resource:", "event:", "field:")
_ALL = _by_source("")
_ON_SPAN = _ALL.pop("span")
_BELOW = {source.removesuffix("*"): ranks for source, ranks in _ALL.items() if source.endswith(".*")}
_EXACT = {
    source: ranks for source, ranks in _ALL.items() if not source.endswith(".*") and not source.startswith(_SPECIAL)
}

Source = Literal["attribute", "group", "span", "resource", "event", "field"]


class Step(NamedTuple):
    """One rule that may concern a span. `name` is the attribute, the event, the attribute of the resource or the field
    that it looks at; a `group` is all attributes below a prefix: (name, what stands for the star)."""

    rank: Rank
    rule: Rule
    source: Source
    name: str = ""
    group: tuple[tuple[str, str], ...] = ()


class Plan(NamedTuple):
    """What there is to ask of spans with attributes of certain names."""

    steps: tuple[Step, ...]  # in order of precedence
    asked: tuple[tuple[str, frozenset[Rank]], ...]  # names that concern rules, with these
    rest: tuple[str, ...]  # names that concern none


def _steps(source: Source, by_name: dict[str, tuple[Rank, ...]]) -> tuple[Step, ...]:
    return tuple(Step(rank, RULES[rank].rule, source, name) for name, ranks in by_name.items() for rank in ranks)


_ON_EVERY_SPAN = (
    *_steps("span", {"": _ON_SPAN}),
    *_steps("resource", _by_source("resource:")),
    *_steps("field", _by_source("field:")),
)
_ON_EVENTS = _steps("event", EVENTS)


def _make_plan(names: Iterable[str], *, has_events: bool) -> Plan:
    singles: list[Step] = []
    groups: defaultdict[Rank, list[tuple[str, str]]] = defaultdict(list)
    asked: list[tuple[str, frozenset[Rank]]] = []
    rest: list[str] = []
    for name in names:
        hits = tuple(concerned(name))
        if not hits:
            rest.append(name)
            continue
        asked.append((name, frozenset(rank for rank, _ in hits)))
        for rank, below in hits:
            if below:
                groups[rank].append((name, below))
            else:
                singles.append(Step(rank, RULES[rank].rule, "attribute", name))
    grouped = [Step(rank, RULES[rank].rule, "group", group=tuple(group)) for rank, group in groups.items()]
    always = (*_ON_EVERY_SPAN, *(_ON_EVENTS if has_events else ()))
    steps = sorted((*singles, *grouped, *always), key=lambda step: step.rank)
    return Plan(tuple(steps), tuple(asked), tuple(rest))


def concerned(name: str) -> Iterator[tuple[Rank, str]]:
    """The rules that the attribute `name` is a source of, and what stands for their star, "" where there is none."""
    yield from ((rank, "") for rank in _EXACT.get(name, ()))
    dot = name.find(".")
    while dot >= 0:
        rest = name[dot + 1 :]
        if rest:
            yield from ((rank, rest) for rank in _BELOW.get(name[: dot + 1], ()))
        dot = name.find(".", dot + 1)


@lru_cache(_REMEMBERED)
def _remembered(names: tuple[str, ...], has_events: bool) -> Plan:
    return _make_plan(names, has_events=has_events)


def plan_for(names: tuple[str, ...], *, has_events: bool) -> Plan:
    """The plan for spans whose attributes have these names, in this order."""
    if sum(map(len, names)) > _LONGEST_REMEMBERED:
        return _make_plan(names, has_events=has_events)
    return _remembered(names, has_events)
