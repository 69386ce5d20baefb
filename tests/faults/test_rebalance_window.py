"""I2: what a fetch brings in the middle of a rebalance, when nobody takes it, is read again and not skipped."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fixtures.captures import Outgoing, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import stored_ranges, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack
PROGRAM = (str(Path(__file__).parents[1] / "fixtures" / "slow_seek.py"),)
PIECES = 30  # sent one after the other, while partitions move


def test_what_comes_while_partitions_move_is_not_skipped(stack: Stack) -> None:
    records = list(create_update_traffic(3_400))
    stack.worker("first", program=PROGRAM)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send, stack, records)
        stack.worker("second", program=PROGRAM)
        sending.result()
    wait_until_stored(stack, len(records))
    assert sum(last - first + 1 for first, last in stored_ranges(stack).values()) == len(records)
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(records)


def _send(stack: Stack, records: list[Outgoing]) -> None:
    for piece in range(PIECES):
        produce(stack.settings, records[piece::PIECES])
