"""docs/mapping.md, made from the tables: `python -m pipeline.events.mapping.page > docs/mapping.md`."""

from pipeline.events.mapping.rule import BULKY, IGNORE, MERGED, WITHHOLD
from pipeline.events.mapping.table import MAPPERS

_INTRODUCTION = f"""\
# How spans are read
A span of OpenTelemetry becomes one observation. What its attributes mean is said by the conventions below, each a table
of rules in `pipeline/events/mapping/`. This page is made from these tables (`python -m pipeline.events.mapping.page`).
`spanfold explain FILE` shows for an export of your own which rule set which field.

## Precedence
For each field the first rule that can read a value wins: conventions in the order of this page, within a convention
from top to bottom. The order of attributes never matters. A value that a rule cannot read (a cost below zero, a time
that is none) is left to the next rule. These fields take what every rule gives, the earlier rule winning key by key:
{", ".join(f"`{name}`" for name in sorted(MERGED))}.

Sources are attributes of the span; `a.b.*` is all attributes below, `resource:` an attribute of the resource, `event:`
the span events of that name, `span` the span itself, and `field:x` concludes from another field.
- `{WITHHOLD}`: the named convention's outer spans repeat what spans inside them count; model, usage and cost of such a
  span are not read (they stay in its metadata), so that nothing counts twice.
- `{IGNORE}`: the attribute says nothing worth keeping.

## What is always so
- Times are microseconds; OTLP's nanoseconds are cut. A span without an end is running. An `EVENT` has no end.
- Usage keeps the names the client gave (with `gen_ai.usage.` or `llm.token_count.` in front, which tells how to read
  them; nested names joined by a dot) and is made canonical when it is priced. Costs are US dollars.
- Input and output are text: JSON without insignificant white space, anything else as it came.
- `tool_calls` of a generation are read from its output, whatever provider's shape that has. Tool definitions are
  `metadata.tools`.
- A prompt is linked to generations only.
- What no rule used is kept: `metadata.attributes`, beside `resourceAttributes`, `scope`, `kind`, `events` (span events
  that are no messages), `exceptions` and `links`. An attribute of {", ".join(f"`{name}`" for name in sorted(BULKY))}
  whose field another rule has set is not kept twice; the archive has the bytes that came.
- The level is ERROR where the span's status says so; a recorded exception alone is no error. Its type and message are
  the status message of a span that failed without one.

## The trace
User, session, tags, name, release and `public` may stand on any span; the root's word comes first, else the newest.
Input, output and metadata of the trace come from the trace attributes of any span. Where nobody gave them, the root's
own input and output are the trace's.
"""


def mapping_page() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    for number, mapper in enumerate(MAPPERS, 1):
        parts.append(f"\n## {number}. {mapper.title} (`{mapper.name}`)\n| field | source |\n|---|---|\n")
        parts += [f"| `{rule.field}` | `{rule.source}` |\n" for rule in mapper.rules]
    return "".join(parts)


if __name__ == "__main__":
    print(mapping_page(), end="")
