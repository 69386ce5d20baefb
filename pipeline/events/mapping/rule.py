"""A rule says where a field may come from and how the value is read; a mapper is the rules of one convention.

Sources, in the words of the tables:
- `a.b.c`          the span's attribute of that name;
- `a.b.*`          all attributes below, as one dict of what stands for the star;
- `resource:a.b`   an attribute of the resource;
- `event:a.b`      all span events of that name, as a list;
- `span`           the span itself, whatever it carries;
- `field:x`        the field `x`, once it is known; for rules that conclude one field from another.

Precedence is the order of the tables: of two rules for one field the earlier one wins, mappers in the order of
`table.MAPPERS`. A reader that can make nothing of a value returns None (or raises ValueError), and the next rule is
asked. Fields in `MERGED` take what every rule gives, the earlier rule winning key by key.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.events.otlp.span import Span

Read = Callable[[Any, Span], Any]

WITHHOLD = "(withhold)"  # a pseudo field: the set of fields that later rules must not set on this span
IGNORE = "(ignore)"  # a pseudo field: the attribute says nothing that is worth keeping
MERGED = frozenset({"metadata", "trace_metadata", "model_parameters", "tags"})

# Attributes of these fields are large and often said twice in two conventions: where another rule has won, they are
# not kept among the metadata.
BULKY = frozenset({"input", "output", "trace_input", "trace_output"})

FIELDS = frozenset(
    {
        "type", "name", "environment", "version", "metadata", "input", "output", "trace_name", "trace_input",
        "trace_output", "trace_metadata", "user_id", "session_id", "release", "tags", "public", "root",
        "completion_start_time", "level", "status_message", "model", "model_parameters", "usage", "cost",
        "prompt_name", "prompt_version", WITHHOLD, IGNORE,
    }
)  # fmt: skip


class Rule(NamedTuple):
    """`field` may be read from `source`."""

    field: str
    source: str
    read: Read


class Mapper(NamedTuple):
    """The rules of one convention, in order of precedence."""

    name: str
    title: str  # for people
    rules: tuple[Rule, ...]
