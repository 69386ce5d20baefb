"""docs/metrics.md, from the names."""

from pipeline.metrics.names import Metric
from pipeline.metrics.registry import PROCESS
from pipeline.metrics.spec import EVERY, STREAM, Role

_TITLES = {
    EVERY: "Every process",
    STREAM: "Workers and evaluators",
    frozenset({Role.WORKER}): "Workers",
    frozenset({Role.EVALUATOR}): "Evaluators",
    frozenset({Role.INGEST}): "The front door",
}


def page() -> str:
    """Every metric in a table for each group of processes that show it. Raises KeyError for a group without title."""
    groups: dict[frozenset[Role], list[Metric]] = {roles: [] for roles in _TITLES}
    for metric in Metric:
        groups[metric.spec.roles].append(metric)
    tables = [_table(_TITLES[roles], metrics) for roles, metrics in groups.items()]
    tables[0] += f"\nBeside these, on Linux: {', '.join(f'`{name}`' for name in PROCESS)}.\n"
    return "".join((_HEAD, *tables))


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
