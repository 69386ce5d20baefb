"""The watch's metrics: they speak of what this process watches now, or of nothing."""

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from pipeline.audit.watch import Watch
from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics, Role


def shown(metrics: Metrics, metric: Metric) -> list[float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return [sample.value for family in families for sample in family.samples if sample.name == metric]


def test_who_does_not_watch_any_more_shows_no_old_findings() -> None:
    """Else the alert would go on for as long as the process lives, whatever the one who watches now finds."""
    metrics, audit = Metrics(Role.EVALUATOR, ""), SimpleNamespace()
    watching = Watch(Settings(), metrics, audit)  # type: ignore[arg-type]  # it does not look here
    metrics.set(Metric.LEDGER_MISSING, 7, "uncovered")
    watching.forget()
    assert set(shown(metrics, Metric.LEDGER_MISSING)) == {0}
