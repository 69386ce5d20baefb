"""Which traces a rule is asked for: a function of ids alone, the right share of them, the same after a replay (I7)."""

import math
from typing import Any

import pytest

from pipeline.evaluate.requests import Rule
from pipeline.evaluate.sampling import chosen, requests_for
from pipeline.events.model import Micros

TRACES = [f"trace-{number}" for number in range(10_000)]
CHOSEN = ["trace-2", "trace-17", "trace-18", "trace-26", "trace-37", "trace-48", "trace-59"]


def rule(rate: float, **changes: Any) -> Rule:
    return Rule(**{"id": "r", "name": "n", "evaluator": "e", "parameters": {}, "sampling_rate": rate, **changes})


def sample(rate: float, rule_id: str = "r", project: str = "p") -> set[str]:
    return {trace for trace in TRACES if chosen(project, rule_id, trace, rate)}


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_share_is_the_rate_within_three_sigma(rate: float) -> None:
    sigma = math.sqrt(len(TRACES) * rate * (1 - rate))
    assert abs(len(sample(rate)) - len(TRACES) * rate) <= 3 * sigma


def test_zero_takes_none_and_one_takes_all() -> None:
    assert sample(0.0) == set()
    assert sample(1.0) == set(TRACES)


def test_the_same_traces_are_chosen_again() -> None:
    assert sample(0.1) == sample(0.1)


def test_the_choice_is_the_same_in_every_version_of_the_code() -> None:
    assert [trace for trace in TRACES[:60] if chosen("p", "r", trace, 0.1)] == CHOSEN


def test_a_higher_rate_keeps_what_a_lower_one_chose() -> None:
    assert sample(0.1) < sample(0.2)


def test_rules_and_projects_choose_independently() -> None:
    both = len(sample(0.5) & sample(0.5, rule_id="other"))
    assert 2_300 < both < 2_700
    assert sample(0.5) != sample(0.5, project="other")


def test_ids_do_not_run_into_each_other() -> None:
    assert len({chosen("a", "bc", str(n), 0.5) == chosen("ab", "c", str(n), 0.5) for n in range(100)}) == 2


def test_a_request_names_the_events_it_is_about() -> None:
    taken, left = rule(1.0), rule(0.0, id="never")
    [request] = requests_for("p", "t", 4, Micros(9), [taken, left])
    assert (request.project_id, request.trace_id, request.revision, request.as_of, request.rule) == (
        "p",
        "t",
        4,
        9,
        taken,
    )
    assert (request.key, request.at) == (b"p/t", 9)
