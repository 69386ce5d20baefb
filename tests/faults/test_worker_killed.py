"""I2, I3: a worker dies by SIGKILL in the middle of its work; nothing is lost, and what is redone changes nothing."""

import random
import time

import pytest

from tests.fixtures.captures import produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, stored_ranges, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

EVENTS = 100_000
KILLS = 3


def test_killed_worker_loses_nothing_and_rows_equal_an_undisturbed_run(stack: Stack, other_stack: Stack) -> None:
    records = list(create_update_traffic(EVENTS))
    random.Random(3).shuffle(records)
    produce(stack.settings, records)
    worker = stack.worker("worker-0")
    for kill in range(1, KILLS + 1):
        _wait_until_some(stack, len(records) * kill // (KILLS + 1))
        worker.kill()
        worker = stack.worker(f"worker-{kill}")
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)

    produce(other_stack.settings, records)
    other_stack.worker()
    wait_until_stored(other_stack, len(records))
    wait_until_settled(other_stack)

    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(records)
    assert digest(stack) == digest(other_stack)
    assert sum(last - first + 1 for first, last in stored_ranges(stack).values()) == len(records)


def _wait_until_some(stack: Stack, records: int) -> None:
    deadline = time.monotonic() + 60
    while stack.count("SELECT coalesce(sum(records), 0) FROM offset_ranges") < records:
        assert time.monotonic() < deadline
        time.sleep(0.02)
