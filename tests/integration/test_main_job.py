"""From recorded events on the topic to the rows that analysts read, through the real broker and engine."""

import random

import pytest

from tests.fixtures.captures import PROJECT, langfuse_record, produce, recorded_events
from tests.fixtures.views import digest, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack


def test_recorded_batches_become_traces_observations_and_scores(stack: Stack) -> None:
    records = [langfuse_record(event) for event in recorded_events()]
    stack.worker()
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    row = stack.client.query(
        "SELECT name, user_id, session_id, total_cost, tags, public FROM traces WHERE trace_id = {id:String}",
        parameters={"id": "30b579ac-d0ee-424c-a8f1-01f12d57c3d4"},
    ).first_row
    assert row[:3] == ("checkout", "user-1", "sess-1")
    assert set(row[4]) == {"x", "y", "z", "日本"}
    assert row[5] is True
    assert stack.count("SELECT count() FROM scores") > 0
    assert stack.count(f"SELECT uniqExact(project_id) FROM observations WHERE project_id != '{PROJECT}'") == 0


def test_five_deliveries_in_any_order_give_the_same_rows(stack: Stack, tmp_path: object) -> None:
    events = [langfuse_record(event) for event in recorded_events()]
    stack.worker()
    produce(stack.settings, events)
    wait_until_stored(stack, len(events))
    once = digest(stack)
    shuffled = events * 4
    random.Random(7).shuffle(shuffled)
    produce(stack.settings, shuffled)
    wait_until_stored(stack, len(events) * 5)
    assert digest(stack) == once
