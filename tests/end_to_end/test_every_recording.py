"""Every recorded request of real clients, sent again byte for byte through front door and worker to rows.

Each is answered as its client expects. Every observation and score that was sent is one row, at the times that were
sent, as other libraries than ours read them; and the rows say what tests/recorded/expected says by hand.
"""

import asyncio
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.expected_rows import Scenario, mismatches, scenarios
from tests.fixtures.front_door import basic, healthy, running, stored
from tests.fixtures.recordings import Request, entities, requests
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = [pytest.mark.stack, pytest.mark.clients]

Rows = dict[str, list[dict[str, Any]]]


async def test_every_recorded_request_becomes_the_rows_that_its_program_meant(stack: Stack, tmp_path: Path) -> None:
    await asyncio.to_thread(stack.worker)
    connection = {"kafka_bootstrap": stack.settings.kafka_bootstrap, "topic_prefix": stack.settings.topic_prefix}
    sent = requests()
    async with running(tmp_path / "front", **connection) as front:
        await healthy(front)
        for client in sorted({request.client for request in sent}):
            front.registry.create_project(client, project_id=client)
            key = front.registry.create_key(client)
            for request in (one for one in sent if one.client == client):
                keys = basic(key.public_key, key.secret_key)
                answer = await front.client.post(request.path, content=request.body, headers=request.headers | keys)
                assert_answered(request, answer)
        records = len(await stored(front.settings))
    await asyncio.to_thread(wait_until_stored, stack, records)
    found = {
        f"{scenario.name} of {client}": wrong(scenario, client, scenario.of(client, sent), rows_of(stack, client))
        for scenario in scenarios()
        for client in scenario.sent
    }
    assert {name: said for name, said in found.items() if said} == {}


def assert_answered(request: Request, answer: httpx.Response) -> None:
    """As its client expects: empty for spans, no errors for a batch, the id of a score, a message for an array."""
    said = answer.json() if answer.content and "json" in answer.headers["content-type"] else None
    body = None if request.route == "otel_v1_traces" else json.loads(request.body)
    if request.route == "otel_v1_traces":
        assert (answer.status_code, answer.content) == (200, b"" if said is None else b"{}")
    elif request.route == "ingestion":
        assert (answer.status_code, said["errors"]) == (207, [])
        assert sorted(one["id"] for one in said["successes"]) == sorted(event["id"] for event in body["batch"])
    elif isinstance(body, list):
        assert (answer.status_code, said) == (202, {"message": "Accepted"})
    else:
        assert (answer.status_code, list(said)) == (200, ["id"])


def rows_of(stack: Stack, client: str) -> Rows:
    """All rows of a client's project, with the names of the parents, of scored observations and of roots."""
    found: Rows = {}
    for view in ("observations", "scores", "traces"):
        query = f"SELECT * FROM {view} WHERE project_id = {{p:String}}"
        answer = stack.client.query(query, parameters={"p": client}, query_tz="UTC", tz_mode="aware")
        found[view] = [dict(row) for row in answer.named_results()]
    names = {row["observation_id"]: row["name"] for row in found["observations"]} | {"": ""}
    for row in found["observations"]:
        row["parent"] = names.get(row["parent_observation_id"], row["parent_observation_id"])
    for row in found["scores"]:
        row["observation"] = names.get(row["observation_id"], row["observation_id"])
    for row in found["traces"]:
        row["name"] = row["name"] or names[row["root_observation_id"]]
    return found


def wrong(scenario: Scenario, client: str, sent: list[Request], rows: Rows) -> list[str]:
    """What is not as it should be in the rows of one scenario, a line each."""
    whole = entities(sent)
    observations = [row for row in rows["observations"] if row["observation_id"] in whole.observations]
    said = [] if sent else ["nothing was sent"]
    if len(observations) != len(whole.observations):
        said.append(f"{len(observations)} rows of {len(whole.observations)} observations")
    for row in observations:
        given = whole.observations[row["observation_id"]]
        ended = row["type"] != "EVENT"  # an event is a moment
        given = {column: value for column, value in given.items() if ended or column != "end_time"}
        said += [f"{row['name']} {column}: {row[column]}, not {value}" for column, value in given.items()
                 if row[column] != value]  # fmt: skip
    in_it = {row["trace_id"] for row in observations} | whole.traces
    scores = [row for row in rows["scores"] if row["score_id"] in whole.scores or _made(row, scenario)]
    traces = [row for row in rows["traces"] if row["trace_id"] in in_it and row["name"] in _names(scenario, rows)]
    said += mismatches(observations, scenario.observations, client)
    said += mismatches(scores, scenario.scores, client)
    return said + mismatches(traces, scenario.traces, client)


def _made(row: dict[str, Any], scenario: Scenario) -> bool:
    """A score without an id of its own is known by its name."""
    return row["name"] == "direct" and "direct" in scenario.scores


def _names(scenario: Scenario, rows: Rows) -> set[str]:
    """Names of traces that the scenario says something of."""
    return {row["name"] for row in rows["traces"] if any(fnmatchcase(row["name"], name) for name in scenario.traces)}
