"""What an audit looks at, in pieces that ClickHouse handles with ease."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

PIECE_TRACES = 250_000  # some hundred MB in ClickHouse; each piece reads its project's day once
GROUPED = "if(trace_id = '', score_group, trace_id)"  # what a score belongs to, as the archive names it
ALWAYS = 0, 4_102_444_800  # Unix seconds: until the year 2100
KEPT = 90 * 86_400  # seconds: how long the archive is taken to keep events where nothing of it is left


@dataclass(frozen=True, slots=True)
class Scope:
    """Traces first seen from `start` (included) until `until` (excluded), of one project or, with "", of all."""

    start: datetime
    until: datetime
    project: str = ""

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {"start": text(self.start), "until": text(self.until), "project": self.project}


class Piece(NamedTuple):
    """Traces of a project first seen on the day that begins at `day` (Unix seconds), one of `buckets` parts.

    What was first seen before `kept_since` (Unix seconds) may have expired in the archive and cannot be judged.
    """

    project_id: str
    day: int
    buckets: int
    bucket: int
    kept_since: int

    def conditions(self) -> dict[str, str]:
        """For archive, rows and scores."""
        within = (
            "project_id = %(project_id)s AND first_seen >= toDateTime64(greatest(%(day)s, %(kept_since)s), 6, 'UTC')"
            " AND first_seen < toDateTime64(%(day)s + 86400, 6, 'UTC')"
        )
        part = " AND cityHash64({}) %% %(buckets)s = %(bucket)s"
        trace, score = part.format("trace_id"), part.format(GROUPED)
        return {"raw": within + trace, "rows": within + trace, "scores": within + score}

    def parameters(self) -> dict[str, Any]:
        """As the conditions name them."""
        return self._asdict()


class Recent(NamedTuple):
    """Traces with an event from offset `low` (included) to `high` (excluded) of their partition of a topic.

    `taken` is the time in which the log took these, first to last (excluded): by it the archive finds them without
    reading what is older. `hours` are those in which the traces were first seen. All in Unix seconds.
    """

    topic: str
    bounds: Mapping[int, tuple[int, int]]
    taken: tuple[int, int] = ALWAYS
    hours: tuple[int, ...] = ()

    def condition(self) -> str:
        """For the archive, whatever hour."""
        return (
            "timestamp >= toDateTime64(%(taken_from)s, 6, 'UTC')"
            " AND timestamp < toDateTime64(%(taken_until)s, 6, 'UTC')"
            " AND topic = %(topic)s"
            " AND offset >= transform(toUInt64(partition), %(partitions)s, %(lows)s, toUInt64(18446744073709551615))"
            " AND offset < transform(toUInt64(partition), %(partitions)s, %(highs)s, toUInt64(0))"
        )

    def conditions(self) -> dict[str, str]:
        """For archive, rows and scores."""
        named = f" IN (SELECT project_id, trace_id FROM raw_events WHERE {self.condition()})"  # noqa: S608 (ours)
        hours = "toStartOfHour(first_seen) IN (SELECT toDateTime(arrayJoin(%(hours)s), 'UTC')) AND "
        trace, score = f"{hours}(project_id, trace_id){named}", f"{hours}(project_id, {GROUPED}){named}"
        return {"raw": trace, "rows": trace, "scores": score}

    def parameters(self) -> dict[str, Any]:
        """As the conditions name them."""
        return {
            "topic": self.topic,
            "partitions": list(self.bounds),
            "lows": [low for low, _ in self.bounds.values()],
            "highs": [high for _, high in self.bounds.values()],
            "taken_from": self.taken[0],
            "taken_until": self.taken[1],
            "hours": list(self.hours),
        }


def text(moment: datetime) -> str:
    """A time as the queries take it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
