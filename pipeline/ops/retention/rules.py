"""The retention of every project as the registry says it, and as an SQL expression over the rows of a table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clickhouse_connect.driver.binding import format_query_value

from pipeline.registry import Registry, RetentionDays
from pipeline.store.retention import DEFAULT_DAYS, FOREVER, Bounded, Kind, expiry, expiry_sql


class Rule(NamedTuple):
    """How long one project keeps one kind of thing; `project_id` is '' for all that say nothing themselves."""

    project_id: str
    kind: Kind
    days: int
    source: str  # project, all, built in, or setting


@dataclass(frozen=True, slots=True)
class Rules:
    """All of it, at one moment."""

    said: Mapping[str, RetentionDays]
    pins: frozenset[tuple[str, str]]
    ledger_days: int = DEFAULT_DAYS[Kind.LEDGER]

    def days(self, project_id: str, kind: Kind) -> tuple[int, str]:
        """The days that hold, and who says so."""
        if kind is Kind.LEDGER:
            return self.ledger_days, "setting"
        for who, source in ((project_id, "project"), ("", "all")):
            found = _of(self.said.get(who, RetentionDays()), kind)
            if found is not None and (who or source == "all"):
                return found, source
        return DEFAULT_DAYS[kind], "built in"

    def listed(self, projects: Iterable[str]) -> list[Rule]:
        """What holds for all and for each of these projects."""
        return [
            Rule(project, kind, *self.days(project, kind))
            for project in ("", *projects)
            for kind in Kind
            if not project or kind is not Kind.LEDGER
        ]

    def until(self, kind: Kind, project_id: str, trace_id: str, since: int) -> int:
        """When what is of this trace and began at `since` (microseconds) may leave, in seconds since the epoch."""
        if (project_id, trace_id) in self.pins:
            return FOREVER
        return expiry(since, self.days(project_id, kind)[0])

    def expression(self, bounded: Bounded) -> str:
        """When a row of the table may leave by these rules, as SQL to which parameters are bound by %(name)s."""
        own = {project: _of(days, bounded.kind) for project, days in self.said.items() if project and bounded.owned}
        chosen = {project: days for project, days in own.items() if days is not None}
        default = self.days("", bounded.kind)[0] + bounded.more
        days = f"toInt64({default})"
        if chosen:
            projects, lengths = ", ".join(map(_text, chosen)), ", ".join(f"toInt64({each})" for each in chosen.values())
            days = f"transform(toString(project_id), [{projects}], [{lengths}], toInt64({default}))"
        until = expiry_sql(bounded, days)
        if not bounded.traced or not self.pins:
            return until
        pins = ", ".join(f"({_text(project)}, {_text(trace)})" for project, trace in sorted(self.pins))
        return f"if((toString(project_id), trace_id) IN ({pins}), toDateTime({FOREVER}, 'UTC'), {until})"


def read_rules(registry: Registry, ledger_days: int = DEFAULT_DAYS[Kind.LEDGER]) -> Rules:
    """What the registry says now, and the setting `ledger_days`."""
    pins = frozenset((pin.project_id, pin.trace_id) for pin in registry.pins())
    return Rules(registry.retention(), pins, ledger_days)


def _of(days: RetentionDays, kind: Kind) -> int | None:
    found: int | None = getattr(days, kind.value.replace("-", "_"))
    return found


def _text(text: str) -> str:
    """A literal, in a query to which parameters are bound."""
    return str(format_query_value(text)).replace("%", "%%")
