"""Unmodified Langfuse SDKs, set up by environment variables only: key check, scores of every subject, deletions.

Whole traces are compared by test_one_trace_by_every_client.py. Not in the quick suite: run `make clients`.
"""

import asyncio
from pathlib import Path

import pytest

from pipeline.events.model import Event, Kind
from pipeline.local.kafka import LocalKafka
from tests.fixtures.client_environments import python_with
from tests.fixtures.front_door import connected, stored_events
from tests.fixtures.real_clients import Client, Clock, addresses, run, variables

pytestmark = [pytest.mark.stack, pytest.mark.clients]

SCORES = """
import langfuse
c = langfuse.Langfuse()
assert c.auth_check()
c.create_score(score_id="score-sdk", trace_id="a" * 32, name="quality", value=0.5, comment="good", data_type="NUMERIC")
c.create_score(score_id="score-cat", trace_id="a" * 32, name="tone", value="kind")
c.create_score(score_id="score-session", session_id="s", name="x", value=1)
c.flush()
"""
DELETE = """
c.api.trace.delete("b" * 32)
c.api.trace.delete_multiple(trace_ids=["c" * 32, "d" * 32])
"""
DELETE_SCORE_5 = """
c.api.scores.delete("known")
"""


async def find_score(_project_id: str, score_id: str) -> list[str]:
    return ["a" * 32] if score_id == "known" else []


@pytest.mark.parametrize("version", ["3.15.0", "4.18.0", "5.0.4"])
async def test_later_versions_send_scores_and_deletions(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, version: str
) -> None:
    python = await asyncio.to_thread(python_with, f"langfuse-{version}")
    program = SCORES + (DELETE if version[0] > "3" else "") + (DELETE_SCORE_5 if version[0] > "4" else "")
    client = Client(f"langfuse-{version}", Clock.OWN, lambda: [str(python), "-c", program])
    async with connected(kafka, topic_prefix, tmp_path, find_score) as front:
        await run(client, variables(client.name, addresses(front), front.key))
        events = await stored_events(front.settings)
    scores = {event.entity_id: event for event in events if event.kind is Kind.SCORE and "deleted" not in event.fields}
    assert scores.keys() == {"score-sdk", "score-cat", "score-session"}
    assert scores["score-sdk"].fields["value"] == 0.5
    assert (scores["score-cat"].fields["data_type"], scores["score-cat"].fields["string_value"]) == (
        "CATEGORICAL",
        "kind",
    )
    assert scores["score-session"].trace_id == "session:s"
    tombstones: list[Event] = [event for event in events if "deleted" in event.fields]
    expected = {"b" * 32, "c" * 32, "d" * 32} if version[0] > "3" else set()
    assert {event.entity_id for event in tombstones} == expected | ({"known"} if version[0] > "4" else set())
