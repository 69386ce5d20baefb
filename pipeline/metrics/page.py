"""docs/metrics.md, from the names."""

from pipeline.metrics.names import Metric
from pipeline.metrics.registry import PROCESS
from pipeline.metrics.spec import EVERY, Role

_TITLES = {
    Role.INGEST: "The front door",
    Role.WORKER: "Workers",
    Role.EVALUATOR: "Evaluators",
}


def page() -> str:
    """Every metric in a table for each kind of process; those of several roles stand first."""
    parts = [_HEAD, _table("Every process", [metric for metric in Metric if metric.spec.roles == EVERY])]
    parts.append(f"\nBeside these, on Linux: {', '.join(f'`{name}`' for name in PROCESS)}.\n")
    for role, title in _TITLES.items():
        own = [metric for metric in Metric if role in metric.spec.roles and metric.spec.roles != EVERY]
        parts.append(_table(title, own))
    return "".join(parts)


def _table(title: str, metrics: list[Metric]) -> str:
    lines = [f"\n## {title}\n\n| metric | kind | unit | labels | what it says |\n|---|---|---|---|---|\n"]
    for metric in sorted(metrics):
        spec = metric.spec
        labels = "; ".join(_label(label, spec.values.get(label, ())) for label in spec.labels)
        lines.append(f"| `{metric}` | {spec.kind} | {spec.unit} | {labels} | {spec.help} |\n")
    return "".join(lines)


def _label(label: str, values: tuple[str, ...]) -> str:
    return f"`{label}`: {', '.join(values)}" if values else f"`{label}`"


_HEAD = """# Metrics

<!-- Made by `python -m pipeline.metrics > docs/metrics.md`; change pipeline/metrics/names.py instead. -->

Every process shows its own in Prometheus' text format: the front door at `/metrics` of its HTTP port, workers and
evaluators at `http://SPANFOLD_METRICS_HOST:SPANFOLD_METRICS_PORT/metrics` (no port by default; `spanfold up` gives each
process one and prints it). The same ports answer `/health/live` and `/health/ready`. What to do with the numbers is in
[operations.md](operations.md).

No label has a value that a client could make up, so the number of series is bounded by partitions, routes and the words
below. What concerns one project is asked in SQL ([tables.md](tables.md)).
"""
