"""Events for traces that left memory are read back from the archive; the rows are those of one complete run."""

import pytest

from tests.fixtures.captures import produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack


def test_events_after_eviction_give_the_rows_of_an_undisturbed_run(stack: Stack, other_stack: Stack) -> None:
    records = list(create_update_traffic(3_400))
    early, late = records[::2], records[1::2]
    stack.worker("small", settle_quiet=0.1, settle_idle=0.2, resident_traces=8)
    produce(stack.settings, early)
    wait_until_stored(stack, len(early))
    wait_until_settled(stack)
    produce(stack.settings, late + early)
    wait_until_stored(stack, len(records) + len(early))
    wait_until_settled(stack)

    other_stack.worker("large")
    produce(other_stack.settings, records)
    wait_until_stored(other_stack, len(records))
    wait_until_settled(other_stack)

    assert digest(stack) == digest(other_stack)
    assert stack.count("SELECT sum(new) FROM offset_ranges") == len(records)
    assert stack.count("SELECT sum(duplicate) FROM offset_ranges") == len(early)
