"""I1 on the real stack: shuffled, repeated, late, with workers killed and added, the rows are those of the oracle.

SPANFOLD_TEST_TRACES says how many traces there are; 10000 is the long form.
"""

import os
import random
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from tests.fixtures.captures import Outgoing, produce
from tests.fixtures.shown import shown
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.whole_traffic import as_a_log_has_them, known, whole_traces
from tests.fixtures.worker import Stack
from tests.oracle.fold import Views, views
from tests.oracle.table import difference

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

TRACES = int(os.environ.get("SPANFOLD_TEST_TRACES", "300"))
LATE = 0.05  # the share of events that come when their trace has left memory
SMALL: dict[str, Any] = {"settle_quiet": 0.3, "settle_idle": 1.0, "resident_traces": 40}


def test_exact_whatever_happens_to_events_and_workers(stack: Stack) -> None:
    _stop_merges(stack)
    early, late = _early_and_late(whole_traces(TRACES))
    first = as_a_log_has_them(early)
    stack.worker("a", **SMALL)
    doomed = stack.worker("b", **SMALL)
    produce(stack.settings, first[::2])
    doomed.kill()
    produce(stack.settings, first[1::2])
    doomed = stack.worker("c", **SMALL)
    wait_until_stored(stack, len(first))
    wait_until_settled(stack)
    assert difference(shown(stack), _expected(early))[:10] == [], "spans without their roots, parents and ends"

    second = as_a_log_has_them([*late, *early[::20]], seed=2)
    produce(stack.settings, second[::2])
    doomed.kill()
    stack.worker("d", **SMALL)
    produce(stack.settings, second[1::2])
    wait_until_stored(stack, len(first) + len(second))
    expected = _expected([*early, *late])
    _sample_until_settled(stack, expected)
    assert difference(shown(stack), expected)[:10] == []
    assert stack.count("SELECT uniqExact(trace_id, event_id) FROM raw_events") == len(early) + len(late)
    assert stack.count("SELECT count() FROM observations WHERE user_id = '' OR session_id = ''") == 0
    versions = stack.count("SELECT count() FROM observations_rows")
    assert versions > len(expected["observations"]), "nothing was ever revised, so nothing was tested"


def _early_and_late(traces: Sequence[Sequence[Outgoing]]) -> tuple[list[Outgoing], list[Outgoing]]:
    """(what comes at first, what comes late): a share of all events, and of every fiftieth trace the whole root."""
    rng = random.Random(5)
    early: list[Outgoing] = []
    late: list[Outgoing] = []
    for number, records in enumerate(traces):
        for record, each in zip(records, known(records), strict=True):
            is_root = number % 50 == 0 and each.event.entity_id == f"{each.event.trace_id}-0"
            (late if is_root or rng.random() < LATE else early).append(record)
    return early, late


def _expected(records: Iterable[Outgoing]) -> Views:
    return views(known(records), ObservationPricer())


def _stop_merges(stack: Stack) -> None:
    """Nothing is tidied up behind the views' back."""
    for table in ("traces_rows", "observations_rows", "scores_rows"):
        stack.client.command(f"SYSTEM STOP MERGES {stack.settings.clickhouse_database}.{table}")


def _sample_until_settled(stack: Stack, expected: Views) -> None:
    """From the moment when the last event is stored, the sums are right whenever they are asked for."""
    costs = [row["total_cost"] for row in expected["observations"].values() if row["total_cost"] is not None]
    should = (sum(costs, Decimal(0)), len(expected["observations"]))
    deadline = time.monotonic() + 90
    while True:
        assert stack.client.query("SELECT sum(total_cost), count() FROM observations").first_row == should
        if stack.count("SELECT count() FROM traces WHERE NOT settled") == 0:
            return
        assert time.monotonic() < deadline, "traces are still open"
        time.sleep(0.05)  # between two samples
