"""Unmodified Langfuse SDKs, installed by name in environments of their own, set up by environment variables only.

Not in the quick suite: run `pytest -m clients`.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.events.model import Event, Kind
from pipeline.local.kafka import LocalKafka
from tests.fixtures.front_door import Front, connected, stored_events

pytestmark = [pytest.mark.stack, pytest.mark.clients]

CHECK = "import langfuse; c = langfuse.Langfuse(); assert c.auth_check()\n"
VERSION_2 = (
    CHECK
    + """
t = c.trace(id="t-sdk", name="chat", user_id="u", tags=["a"], metadata={"k": {"n": 1}}, input={"q": 1})
s = t.span(id="s-sdk", name="retrieval", input="in")
g = s.generation(id="g-sdk", name="llm", model="gpt-4o", usage={"input": 3, "output": 4})
g.end(output="out", level="ERROR", status_message="broken")
s.end()
t.event(id="e-sdk", name="cache hit")
c.score(id="score-sdk", trace_id="t-sdk", name="quality", value=0.5, comment="good")
c.flush()
"""
)
SCORES = (
    CHECK
    + """
c.create_score(score_id="score-sdk", trace_id="a" * 32, name="quality", value=0.5, comment="good", data_type="NUMERIC")
c.create_score(score_id="score-cat", trace_id="a" * 32, name="tone", value="kind")
c.create_score(score_id="score-session", session_id="s", name="x", value=1)
c.flush()
"""
)
DELETE = """
c.api.trace.delete("b" * 32)
c.api.trace.delete_multiple(trace_ids=["c" * 32, "d" * 32])
"""
DELETE_SCORE_5 = """
c.api.scores.delete("known")
"""


def installed(version: str, folder: Path) -> Path:
    """The interpreter of an environment that has this SDK and nothing of ours."""
    uv = Path(sys.executable).with_name("uv")
    python = folder / version / "bin" / "python"
    commands = [
        [uv, "venv", "--quiet", "--python", sys.executable, folder / version],
        [uv, "pip", "install", "--quiet", "--python", python, f"langfuse=={version}"],
    ]
    for command in commands:
        subprocess.run(command, check=True, timeout=300)
    return python


async def run(front: Front, python: Path, program: str) -> None:
    """Run a program with nothing but the variables that its SDK documents."""
    host = str(front.client.base_url).rstrip("/")
    environment = {
        "PATH": os.environ["PATH"],
        "LANGFUSE_PUBLIC_KEY": front.key.public_key,
        "LANGFUSE_SECRET_KEY": front.key.secret_key,
        "LANGFUSE_HOST": host,
        "LANGFUSE_BASE_URL": host,
    }
    process = await asyncio.create_subprocess_exec(
        python, "-c", program, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()
    assert b"rror" not in said, said.decode()


async def find_score(_project_id: str, score_id: str) -> list[str]:
    return ["a" * 32] if score_id == "known" else []


async def test_version_2_sends_whole_traces(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> None:
    python = installed("2.60.10", tmp_path)
    async with connected(kafka, topic_prefix, tmp_path) as front:
        await run(front, python, VERSION_2)
        events = await stored_events(front.settings)
    assert {event.trace_id for event in events} == {"t-sdk"}
    assert {event.entity_id for event in events} == {"t-sdk", "s-sdk", "g-sdk", "e-sdk", "score-sdk"}
    (created, *_updates) = [event for event in events if event.entity_id == "g-sdk" and event.created]
    assert created.fields["parent_observation_id"] == "s-sdk"
    assert created.fields["usage"]["input"] == 3
    ended = {key: value for event in events if event.entity_id == "g-sdk" for key, value in event.fields.items()}
    assert (ended["output"], ended["level"], ended["status_message"]) == ("out", "ERROR", "broken")
    (score,) = [event for event in events if event.kind is Kind.SCORE]
    assert (score.fields["value"], score.fields["comment"]) == (0.5, "good")


@pytest.mark.parametrize("version", ["3.15.0", "4.18.0", "5.0.4"])
async def test_later_versions_send_scores_and_deletions(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, version: str
) -> None:
    python = installed(version, tmp_path)
    program = SCORES + (DELETE if version[0] > "3" else "") + (DELETE_SCORE_5 if version[0] > "4" else "")
    async with connected(kafka, topic_prefix, tmp_path, find_score) as front:
        await run(front, python, program)
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
