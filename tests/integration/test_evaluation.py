"""Settled traces are sampled, evaluated, and their scores come back through the events topic, once."""

import time

import pytest

from pipeline.evaluate.sampling import chosen
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
    stack.worker("fold", settle_quiet=0.5)
    stack.worker("evaluate", role="evaluate")
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    _wait_for_scores(stack, wanted)
    row = stack.client.query("SELECT DISTINCT name, value, string_value, source, evaluator, data_type FROM scores")
    assert row.result_rows == [("quick", 0.0, "False", "EVAL", "latency_above", "BOOLEAN")]
    produce(stack.settings, records)
    wait_until_stored(stack, 2 * len(records) + wanted)
    wait_until_settled(stack)
    assert stack.count("SELECT count() FROM scores") == wanted


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


def _wait_for_scores(stack: Stack, wanted: int) -> None:
    deadline = time.monotonic() + 60
    while (found := stack.count("SELECT count() FROM scores")) < wanted:
        assert time.monotonic() < deadline, f"{found} of {wanted} scores came back"
        time.sleep(0.1)
    assert found == wanted
