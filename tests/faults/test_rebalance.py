"""Workers join, leave and die under load: partitions move, rows equal those of one worker, no offset is left out."""

import pytest

from tests.fixtures.captures import produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, stored_ranges, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

EVENTS = 34_000


def test_workers_that_come_and_go_change_nothing(stack: Stack, other_stack: Stack) -> None:
    records = list(create_update_traffic(EVENTS))
    parts = [records[start::4] for start in range(4)]
    first = stack.worker("first")
    produce(stack.settings, parts[0])
    second = stack.worker("second")  # joins while the first is busy
    produce(stack.settings, parts[1])
    assert first.stop() == 0  # leaves in order
    produce(stack.settings, parts[2])
    stack.worker("third")
    second.kill()  # leaves without a word
    produce(stack.settings, parts[3])
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)

    produce(other_stack.settings, records)
    other_stack.worker()
    wait_until_stored(other_stack, len(records))
    wait_until_settled(other_stack)

    assert digest(stack) == digest(other_stack)
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(records)
    assert sum(last - first + 1 for first, last in stored_ranges(stack).values()) == len(records)
