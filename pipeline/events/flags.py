"""What was odd about a trace or an observation. Flags are facts of the event set, so they may disappear again."""

from enum import StrEnum


class Flag(StrEnum):
    """Each flag, and what it says about the row that carries it; docs/flags.md is made from this."""

    doc: str

    def __new__(cls, value: str, doc: str) -> "Flag":
        """A flag's value with its documentation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member

    ORPHAN = "orphan", "observation: its parent has not arrived; it is placed under the root meanwhile"
    CYCLE_CUT = "cycle_cut", "observation: parent links ran in a circle, cut at this, the smallest id"
    NEGATIVE_DURATION = "negative_duration", "observation or trace: it ends before it starts; latency is null"
    PROVISIONAL_START = (
        "provisional_start",
        "observation: no event gave a start time; the earliest event time stands in",
    )
    PATH_TRUNCATED = (
        "path_truncated",
        "observation: it stands so deep that `path` keeps the last ids only; `depth` is exact",
    )
    DUPLICATE_USAGE = (
        "duplicate_usage",
        "observation: it repeats the usage and model of a child, so sums over the tree and the trace leave it out",
    )
    MISSING_ROOT = "missing_root", "trace: no observation without a parent and no trace event has arrived"
    SEVERAL_ROOTS = "several_roots", "trace: several observations have no parent and no trace event explains it"
    DERIVED_TRACE = "derived_trace", "trace: an event came without a trace id; this one was derived from its entity"
    CONFLICTING_EVENTS = "conflicting_events", "trace: one event id came with different contents; all were merged"
    ARCHIVE_EXPIRED = (
        "archive_expired",
        "trace: the archive no longer held its older events; newer ones were merged onto the stored rows",
    )
    ATTRIBUTES_CUT = (
        "attributes_cut",
        "trace: its name, user, session, release, version, environment or tags are too long to stand on so many rows",
    )
    TOTAL_MISMATCH = "total_mismatch", "observation: the total of the given usage is not the sum of its parts"
    NEGATIVE_USAGE = "negative_usage", "observation: a part of the usage is larger than the whole it belongs to"
    COST_MISMATCH = "cost_mismatch", "observation: the given total cost is not the sum of the given parts"
    PARTLY_PRICED = (
        "partly_priced",
        "observation: some of its tokens are of a kind that its model has no price for",
    )


def page() -> str:
    """docs/flags.md: every flag in a table for each kind of row, sorted by name."""
    parts = [_HEAD]
    for kind, view in (("observation", "observations"), ("trace", "traces")):
        parts.append(f"\n## In `{view}`\n\n| flag | what it says |\n|---|---|\n")
        for flag in sorted(Flag):
            kinds, _, text = flag.doc.partition(": ")
            if kind in kinds:
                parts.append(f"| `{flag}` | {text} |\n")
    return "".join(parts)


_HEAD = """# Flags

<!-- Made by `python -m pipeline.events.flags > docs/flags.md`; change pipeline/events/flags.py instead. -->

The column `flags` tells what was odd about a row, sorted by name. Nothing is refused for any of this: a flag says by
which rule of [folding.md](folding.md) the row was made nevertheless. Flags follow from the events that have come so
far, so they may go again: an `orphan` is none once its parent has arrived.

```sql
SELECT arrayJoin(flags) AS flag, count() AS observations FROM observations WHERE project_id = 'my-project' GROUP BY flag
```
"""

if __name__ == "__main__":
    print(page(), end="")
