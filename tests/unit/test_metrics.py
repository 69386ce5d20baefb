"""The table of metrics, the registry that is made from it, and docs/metrics.md."""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config import Settings
from pipeline.events.priced import CostSource, UsageSource
from pipeline.events.reasons import Reason
from pipeline.metrics import Metric, Metrics, Role
from pipeline.metrics.page import page
from pipeline.metrics.registry import PROCESS
from pipeline.metrics.spec import Kind
from pipeline.registry import open_registry
from pipeline.store.errors import Blame
from pipeline.store.tables import EDGE_COUNTS, TABLES
from pipeline.stream import counted, pressure
from pipeline.stream.counted import Step
from pipeline.stream.retention import RetentionBook
from pipeline.stream.stages import Stage
from pipeline.stream.topic_table import keep_in_topic
from pipeline.stream.topology import copies

DOCS = Path(__file__).parents[2] / "docs"
STRANGERS = {"project", "project_id", "trace", "trace_id", "path", "user", "model", "name", "key"}


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What Prometheus would read: name -> (labels, value)."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_the_page_is_up_to_date() -> None:
    assert page() == (DOCS / "metrics.md").read_text("utf-8"), "run `python -m pipeline.metrics > docs/metrics.md`"


def test_running_the_room_prints_the_page() -> None:
    command = [sys.executable, "-m", "pipeline.metrics"]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=DOCS.parent).stdout
    assert printed.decode() == page()


@pytest.mark.parametrize("metric", Metric)
def test_a_name_tells_kind_and_unit(metric: Metric) -> None:
    spec = metric.spec
    assert re.fullmatch(r"spanfold_[a-z0-9_]+", metric)
    assert metric.endswith("_total") == (spec.kind is Kind.COUNTER)
    if spec.unit in ("seconds", "bytes"):
        assert metric.removesuffix("_total").endswith(f"_{spec.unit}")
    assert spec.help.endswith(".")
    assert spec.roles


@pytest.mark.parametrize("metric", Metric)
def test_no_label_lets_strangers_make_series(metric: Metric) -> None:
    assert not set(metric.spec.labels) & STRANGERS


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric.spec.kind is Kind.HISTOGRAM])
def test_buckets_rise(metric: Metric) -> None:
    buckets = metric.spec.buckets
    assert len(buckets) > 3
    assert list(buckets) == sorted(set(buckets))


@pytest.mark.parametrize("role", Role)
def test_a_role_shows_its_own_metrics_and_no_others(role: Role) -> None:
    text = Metrics(role).text().decode()
    shown = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert shown >= {metric.value for metric in Metric if role in metric.spec.roles}
    assert not shown & {metric.value for metric in Metric if role not in metric.spec.roles}


def test_labels_say_what_the_rooms_say(tmp_path: Path) -> None:
    assert set(Metric.STORE_RETRIES.spec.values["blame"]) == set(Blame)
    assert set(Metric.DEAD_LETTERS.spec.values["reason"]) == set(Reason)
    assert set(Metric.ROWS.spec.values["table"]) <= set(TABLES)
    with closing(open_registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")) as registry:
        copied = {copy.table for copy in copies(Settings(), keep_in_topic, RetentionBook(registry))}
    assert set(Metric.ROWS.spec.values["table"]) >= copied >= {EDGE_COUNTS}
    assert set(Metric.CALLS.spec.values["cost_source"]) == set(get_args(CostSource))
    assert set(Metric.CALLS.spec.values["usage_source"]) == set(get_args(UsageSource))
    assert set(Metric.STAGE_SECONDS.spec.values["stage"]) == set(get_args(Stage))
    assert set(Metric.STEP_SECONDS.spec.values["step"]) == set(get_args(Step))
    assert set(Metric.FRESHNESS.spec.values["stage"]) == set(get_args(counted.Stage))
    assert set(Metric.BACKPRESSURE.spec.values["waiting_for"]) == set(get_args(pressure.Reason))


def test_series_whose_labels_are_known_begin_at_zero() -> None:
    shown = samples(Metrics(Role.INGEST))
    assert shown["spanfold_ingest_media_uploads_total"] == [({"outcome": "ok"}, 0.0), ({"outcome": "failed"}, 0.0)]
    assert "spanfold_ingest_events_total" not in shown  # its routes are not known here
    assert shown["spanfold_ingest_held_bytes"] == [({}, 0.0)]


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics(Role.INGEST, "ingest-1")
    metrics.add(Metric.INGEST_EVENTS, 3, "/x", "accepted")
    metrics.add(Metric.INGEST_EVENTS, 4, "/x", "accepted")
    metrics.set(Metric.INGEST_HELD_BYTES, 9)
    shown = samples(metrics)
    assert shown["spanfold_ingest_events_total"] == [({"route": "/x", "outcome": "accepted"}, 7.0)]
    assert shown["spanfold_ingest_held_bytes"] == [({}, 9.0)]
    assert metrics.value(Metric.INGEST_EVENTS, "/x", "accepted") == 7
    assert shown["spanfold_build_info"][0][0]["instance_id"] == "ingest-1"
    assert not any(name.endswith("_created") for name in shown)


def test_a_histogram_takes_many_observations_at_once_and_shows_them_as_one_by_one() -> None:
    metrics = Metrics(Role.INGEST)
    metrics.observe(Metric.INGEST_SECONDS, 0.002, "/x", count=10)
    metrics.observe(Metric.INGEST_SECONDS, 0.01, "/x")  # a bound belongs to its bucket
    metrics.observe(Metric.INGEST_SECONDS, 1e9, "/x")
    shown = samples(metrics)
    buckets = {labels["le"]: value for labels, value in shown["spanfold_ingest_request_seconds_bucket"]}
    assert (buckets["0.001"], buckets["0.0025"], buckets["0.01"]) == (0, 10, 11)
    assert (buckets["10.0"], buckets["+Inf"]) == (11, 12)
    assert shown["spanfold_ingest_request_seconds_sum"][0][1] == pytest.approx(1e9 + 0.03)
    assert metrics.value(Metric.INGEST_SECONDS, "/x") == 12


def test_a_series_can_end() -> None:
    metrics = Metrics()
    metrics.add(Metric.INGEST_EVENTS, 1, "/x", "accepted")
    metrics.observe(Metric.INGEST_SECONDS, 1.0, "/x")
    for _ in range(2):  # the second time there is none
        metrics.forget(Metric.INGEST_EVENTS, "/x", "accepted")
        metrics.forget(Metric.INGEST_SECONDS, "/x")
    assert "/x" not in metrics.text().decode()
    metrics.add(Metric.INGEST_EVENTS, 1, "/x", "accepted")
    assert metrics.value(Metric.INGEST_EVENTS, "/x", "accepted") == 1


def test_a_mistake_is_an_error_at_once() -> None:
    metrics = Metrics(Role.INGEST)
    with pytest.raises(ValueError, match="label"):
        metrics.add(Metric.INGEST_EVENTS, 1, "only one")
    with pytest.raises(ValueError, match="no gauge"):
        metrics.set(Metric.INGEST_EVENTS, 1, "/x", "accepted")
    with pytest.raises(ValueError, match="observe it"):
        metrics.add(Metric.INGEST_SECONDS, 1, "/x")
    with pytest.raises(ValueError, match="no histogram"):
        metrics.observe(Metric.INGEST_HELD_BYTES, 1)


def test_two_registries_do_not_mix() -> None:
    one, other = Metrics(Role.INGEST), Metrics(Role.INGEST)
    one.set(Metric.INGEST_HELD_BYTES, 5)
    assert other.value(Metric.INGEST_HELD_BYTES) == 0


def test_the_process_itself_is_shown() -> None:
    assert set(PROCESS) <= set(samples(Metrics(Role.WORKER)))
