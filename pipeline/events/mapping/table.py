"""All rules in order of precedence, and which of them an attribute's name concerns.

A span has twenty attributes and there are two hundred rules: instead of trying every rule, each attribute asks for the
rules that name it. What a name asked for is remembered; names come from clients, so there is a bound to that.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

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
_LONGEST_REMEMBERED = 200  # characters of a name
_REMEMBERED = 8_192


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


_SPECIAL = ("resource:", "event:", "field:")
_ALL = _by_source("")
RESOURCES = _by_source("resource:")
EVENTS = _by_source("event:")
CONCLUSIONS: dict[Rank, str] = {rank: field for field, ranks in _by_source("field:").items() for rank in ranks}
ON_EVERY_SPAN: tuple[Rank, ...] = (*_ALL.pop("span"), *CONCLUSIONS)
_BELOW = {source.removesuffix("*"): ranks for source, ranks in _ALL.items() if source.endswith(".*")}
_EXACT = {
    source: ranks for source, ranks in _ALL.items() if not source.endswith(".*") and not source.startswith(_SPECIAL)
}

Concerned = tuple[tuple[Rank, str], ...]  # a rule, and the part of the name that stands for its star, or ""


def _concerned(name: str) -> Concerned:
    return tuple(_look_up(name))


def _look_up(name: str) -> Iterable[tuple[Rank, str]]:
    yield from ((rank, "") for rank in _EXACT.get(name, ()))
    dot = name.find(".")
    while dot >= 0:
        rest = name[dot + 1 :]
        if rest:
            yield from ((rank, rest) for rank in _BELOW.get(name[: dot + 1], ()))
        dot = name.find(".", dot + 1)


_remembered = lru_cache(_REMEMBERED)(_concerned)


def concerned(name: str) -> Concerned:
    """The rules that the attribute `name` is a source of."""
    return _remembered(name) if len(name) <= _LONGEST_REMEMBERED else _concerned(name)
