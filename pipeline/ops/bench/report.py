"""The figures of a benchmark, for programs (one JSON object) and for people (tables)."""

import json
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.ops.bench.figures import MEANING, Cost, middle, spread
from pipeline.ops.bench.machine import describe_machine

GOAL = 25.0  # µs, docs/performance.md
PLAIN_SHARE = 1 / 8  # of the plain way, at the most


@dataclass(slots=True)
class Measured:
    """All runs over the same traffic; `plain` are those of the plain Faust agent, if any, over `plain_events`."""

    events: int
    open_traces: int
    event_bytes: float = 0.0
    runs: list[Cost] = field(default_factory=list)
    plain_events: int = 0
    plain: list[Cost] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Names are a promise: add, do not rename. CPU in µs per event."""
        smallest, median, largest = spread(self.runs)
        figures: dict[str, Any] = {
            "worker_cpu_us_per_event": round(median, 2),
            "worker_cpu_us_per_event_min": round(smallest, 2),
            "worker_cpu_us_per_event_max": round(largest, 2),
            "events_per_cpu_second": round(1e6 / median),
            "peak_memory_mib": round(max(run.peak_bytes for run in self.runs) / 2**20),
            "events": self.events,
            "event_bytes": round(self.event_bytes),
            "open_traces": self.open_traces,
            "runs": len(self.runs),
            "stages": {name: round(cost, 2) for name, cost in middle(self.runs).stages.items()},
            "machine": describe_machine(),
        }
        if self.plain:
            plain = spread(self.plain)[1]
            figures["plain_faust_cpu_us_per_event"] = round(plain, 2)
            figures["plain_faust_events"] = self.plain_events
            figures["plain_faust_ratio"] = round(plain / median, 2)
        return figures


def print_json(measured: Measured) -> None:
    """One object on stdout."""
    print(json.dumps(measured.as_json()))


def print_tables(measured: Measured) -> None:
    """The stages with their sum, then how that compares."""
    figures, run = measured.as_json(), middle(measured.runs)
    title = f"CPU of one worker, µs per event ({measured.events:,} events of {figures['event_bytes']} bytes)"
    table = Table(title=title, title_justify="left", show_footer=True)
    table.add_column("Stage", footer="all")
    table.add_column("µs", justify="right", footer=f"{run.total:.2f}")
    table.add_column("%", justify="right", footer="100")
    table.add_column("What it is")
    for name, cost in run.stages.items():
        table.add_row(name, f"{cost:.2f}", f"{100 * cost / run.total:.0f}", MEANING[name])
    console = Console()
    console.print(table)
    for line in _comparison(measured, figures):
        console.print(line, highlight=False)


def _comparison(measured: Measured, figures: dict[str, Any]) -> list[str]:
    median = figures["worker_cpu_us_per_event"]
    lines = [
        f"{measured.open_traces:,} traces in flight; {len(measured.runs)} runs: "
        f"{figures['worker_cpu_us_per_event_min']} to {figures['worker_cpu_us_per_event_max']} µs, median {median} µs",
        f"{figures['events_per_cpu_second']:,} events per second and core; the goal is {1e6 / GOAL:,.0f} ({GOAL:g} µs)",
        f"{figures['peak_memory_mib']} MiB of memory at the most",
    ]
    if measured.plain:
        lines.append(
            f"a plain Faust agent: {figures['plain_faust_cpu_us_per_event']} µs, "
            f"{figures['plain_faust_ratio']} times as much; "
            f"the goal is {1 / PLAIN_SHARE:g} times"
        )
    machine = figures["machine"]
    lines.append(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load {machine['load']}"
    )
    return lines
