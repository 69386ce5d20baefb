"""Settled traces are sampled, evaluated, and their scores come back through the events topic, once."""

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.evaluate.sampling import chosen
from pipeline.local.ports import find_free_port
from pipeline.registry import open_registry
from tests.fixtures.captures import PROJECT, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

TRACES = 100


def test_a_share_of_settled_traces_is_scored_and_a_repeat_scores_nothing_twice(stack: Stack) -> None:
    registry = open_registry(stack.settings.registry)
    registry.create_project("one", project_id=PROJECT)
    rule = registry.add_rule(PROJECT, "quick", "latency_above", parameters={"limit_ms": 7000}, sampling_rate=0.5)
    records = list(create_update_traffic(TRACES * 17))
    wanted = sum(chosen(PROJECT, rule.id, f"{number:032x}", 0.5) for number in range(TRACES))
    assert 30 < wanted < 70
    shown = {role: find_free_port() for role in ("worker", "evaluate")}
    stack.worker("fold", settle_quiet=0.5, metrics_port=shown["worker"])
    stack.worker("evaluate", role="evaluate", metrics_port=shown["evaluate"])
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    _wait_for_scores(stack, wanted)
    row = stack.client.query("SELECT DISTINCT name, value, string_value, source, evaluator, data_type FROM scores")
    assert row.result_rows == [("quick", 0.0, "False", "EVAL", "latency_above", "BOOLEAN")]
    produce(stack.settings, records)
    wait_until_stored(stack, 2 * len(records) + wanted)
    wait_until_settled(stack)
    assert stack.count("SELECT count() FROM scores") == wanted
    events, topic = 2 * len(records) + wanted, stack.settings.events_topic
    _expect(
        shown["worker"],
        {
            "spanfold_events_total{outcome=new}": len(records) + wanted,
            "spanfold_events_total{outcome=duplicate}": len(records),
            "spanfold_events_total{outcome=rejected}": 0,
            "spanfold_freshness_seconds_count{stage=decoded}": events,
            "spanfold_freshness_seconds_count{stage=committed}": events,
            "spanfold_records_total": events,
            "spanfold_open_traces": 0,
            "spanfold_assigned_partitions": 4,
            f"spanfold_lag_records{{partition=0,topic={topic}}}": 0,
            f"spanfold_lag_seconds{{partition=3,topic={topic}}}": 0,
            "spanfold_evaluation_requests_total": wanted,
            "spanfold_dead_letters_total{reason=malformed}": 0,
        },
    )
    _expect(
        shown["evaluate"],
        {
            "spanfold_evaluations_total{outcome=scored}": wanted,
            "spanfold_records_total": wanted,
            "spanfold_assigned_partitions": 4,
        },
    )
    for port in shown.values():
        assert httpx.get(f"http://127.0.0.1:{port}/health/ready").json()["status"] == "OK"


def test_traces_left_open_by_a_killed_worker_settle_after_the_restart(stack: Stack) -> None:
    records = list(create_update_traffic(TRACES * 17))
    worker = stack.worker("first", settle_quiet=3600.0)
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    worker.kill()
    assert stack.count("SELECT count() FROM traces WHERE NOT settled") == TRACES
    stack.worker("second", settle_quiet=0.2)
    wait_until_settled(stack)
    assert stack.count("SELECT count() FROM traces WHERE settled") == TRACES


def _expect(port: int, wanted: dict[str, float]) -> None:
    """Wait until a process shows these figures."""
    deadline = time.monotonic() + 30
    while (found := {name: value for name, value in _figures(port).items() if name in wanted}) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def _figures(port: int) -> dict[str, float]:
    """What a process shows, as name{label=value,…} -> figure."""
    figures = {}
    for family in text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            figures[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return figures


def _wait_for_scores(stack: Stack, wanted: int) -> None:
    deadline = time.monotonic() + 60
    while (found := stack.count("SELECT count() FROM scores")) < wanted:
        assert time.monotonic() < deadline, f"{found} of {wanted} scores came back"
        time.sleep(0.1)
    assert found == wanted
