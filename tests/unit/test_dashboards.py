"""infra/grafana and infra/prometheus: queries name metrics and labels that exist, every alert is in the runbook."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.metrics import Metric
from pipeline.metrics.dashboard import ROWS, text
from tests.fixtures import promql

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "infra" / "grafana" / "spanfold.json"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "infra" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Runbook\n")[2]


def queries() -> list[Any]:
    """Every query of every dashboard in the folder."""
    found = []
    for path in sorted((ROOT / "infra" / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                id_ = f"{panel['title']} {target['refId']}"
                found.append(pytest.param(target["expr"], target["legendFormat"], id=id_))
    return found


def test_the_dashboard_is_up_to_date() -> None:
    assert text() == DASHBOARD.read_text(), "run `python -m pipeline.metrics.dashboard > infra/grafana/spanfold.json`"


def test_running_the_module_prints_the_dashboard() -> None:
    command = [sys.executable, "-m", "pipeline.metrics.dashboard"]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=ROOT).stdout
    assert printed.decode() == text()


@pytest.mark.parametrize(("expression", "legend"), queries())
def test_a_panel_asks_for_metrics_and_labels_that_exist(expression: str, legend: str) -> None:
    assert promql.mistakes(expression) == []
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= promql.kept(expression)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_metric_is_looked_at_by_somebody() -> None:
    asked = " ".join(query for panels in ROWS.values() for panel in panels for query, _ in panel.queries)
    asked += " ".join(alert["expr"] for alert in ALERTS)
    assert [metric for metric in Metric if metric not in asked] == [Metric.BUILD], "add a panel to metrics/dashboard.py"


def test_what_ledger_and_audit_find_raises_an_alert() -> None:
    """A panel alone wakes nobody: what is missing, wrong or not looked at any more is told of."""
    asked = " ".join(alert["expr"] for alert in ALERTS)
    found = (Metric.LEDGER_MISSING, Metric.AUDIT_WRONG, Metric.WATCH_LAST)
    assert [metric for metric in found if metric not in asked] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_exist(alert: dict[str, Any]) -> None:
    assert promql.mistakes(alert["expr"]) == []
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"]["severity"] in ("page", "ticket")
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert named <= promql.kept(alert["expr"]), "a label that the expression does not keep is empty in the message"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_its_entry_in_the_runbook(alert: dict[str, Any]) -> None:
    entry = RUNBOOK.partition(f"\n### {alert['alert']}\n")[2].partition("\n### ")[0]
    assert len(entry.split()) >= 20, "say what it means, what to look at and what to do"


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (Spanfold\w+)$", RUNBOOK, re.MULTILINE)) == {alert["alert"] for alert in ALERTS}


def test_alerts_have_names_of_their_own() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("rate(spanfold_recrods_total[5m])", "there is no spanfold_recrods_total"),
        ("spanfold_records_total", "spanfold_records_total is a counter"),
        ("rate(spanfold_lag_records[5m])", "spanfold_lag_records is no counter"),
        ('rate(spanfold_events_total{result="new"}[5m])', "spanfold_events_total has no label result"),
        ('rate(spanfold_events_total{outcome="gone"}[5m])', "outcome of spanfold_events_total is never gone"),
        ("sum by (route) (spanfold_lag_records)", "nothing has the label route"),
        ("rate(spanfold_records_total)", "spanfold_records_total has no range"),
        (
            "histogram_quantile(0.9, rate(spanfold_flush_seconds_count[5m]))",
            "spanfold_flush_seconds_count has no buckets",
        ),
        ("1 > 0", "no metric at all"),
    ],
)
def test_mistakes_are_found(expression: str, mistake: str) -> None:
    assert promql.mistakes(expression) == [mistake]


@pytest.mark.parametrize(
    "expression", ["sum(rate(spanfold_records_total[5m])", "sum spanfold_lag_records", "a ~ b", "up{job}"]
)
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        promql.mistakes(expression)
