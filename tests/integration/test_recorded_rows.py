"""What recorded clients said, through front door and worker to rows; the expectations are written from their program.

The program of 2.60.10 made a trace `checkout` with a span, generations in three generations of usage, an error and an
event, then updated and scored it; and a trace with ids of its own that it upserted.
"""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from pipeline.demo import recorded
from pipeline.events.avro_schemas import schema_folder
from tests.fixtures.captures import Outgoing, produce
from tests.fixtures.front_door import PROJECT, healthy, running
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

VERSION_5 = Path(__file__).parents[1] / "recorded" / "langfuse-python-5.0.4"
CHECKOUT = "30b579ac-d0ee-424c-a8f1-01f12d57c3d4"
RETRIEVAL = "397e7f72-92bd-4a72-8919-ce280a502687"
SUMMARY = "1dc47d85-c97c-4ab5-b827-09bc67a19695"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T08:58:{text}+00:00").astimezone(UTC)


TRACES: dict[str, dict[str, Any]] = {
    CHECKOUT: {
        "name": "checkout", "user_id": "user-1", "session_id": "sess-1", "release": "r-override", "version": "1.0",
        "environment": "production", "public": True, "tags": ["x", "y", "z", "日本"], "input": '{"q":"hi"}',
        "output": '{"final":true}', "metadata": {"a": '{"b":1}', "c": "2"}, "start_time": at("15.203551"),
        "level": "ERROR", "status": "ERROR", "error_count": 1, "observation_count": 7,
    },
    "my-custom-trace-id": {
        "name": "custom-id", "user_id": "upserted-user", "output": "upserted", "release": "v2-rel",
        "environment": "production", "observation_count": 3, "status": "SUCCESS",
    },
}  # fmt: skip
OBSERVATIONS: dict[str, dict[str, Any]] = {
    RETRIEVAL: {
        "trace_id": CHECKOUT, "type": "SPAN", "name": "retrieval", "parent_observation_id": "", "version": "s1",
        "start_time": at("16.203551"), "end_time": at("20.206852"), "input": '{"k":3}', "output": '{"docs":3}',
        "metadata": {"interface": "whatsapp"}, "environment": "production", "latency_ms": 4003.301,
        "trace_name": "checkout", "user_id": "user-1", "session_id": "sess-1", "release": "r-override",
        "child_count": 2, "depth": 0,
    },
    SUMMARY: {
        "type": "GENERATION", "name": "summary", "parent_observation_id": RETRIEVAL, "model": "gpt-4o",
        "start_time": at("17.203551"), "completion_start_time": at("18.203551"), "end_time": at("20.204508"),
        "time_to_first_token_ms": 1000.0, "model_parameters": '{"temperature":"0.9","max_tokens":1000}',
        "input": '[{"role":"user","content":"x"}]', "output": "done", "metadata": {"m": "1"}, "cost_source": "provided",
        "usage_provided": {"input": 10, "output": 20, "cache_read_input_tokens": 5}, "total_cost": Decimal("0.003"),
        "path": [RETRIEVAL, SUMMARY], "depth": 1, "orphan": False,
    },
    "0ad6f16f-702b-46a9-9ab2-f8a6d1b46d30": {
        "name": "legacy-usage", "model": "gpt-3.5-turbo", "usage_provided": {"input": 50, "output": 49},
        "cost": {"input": Decimal("0.01"), "output": Decimal("0.02"), "total": Decimal("0.03")}, "output": "o",
    },
    "23ce4dfe-a669-4a87-918a-fa0001f97946": {
        "name": "error-gen", "level": "ERROR", "status_message": "rate limited", "total_cost": None,
    },
    "6e4b737e-317c-452e-b3eb-b2c5265fd57c": {
        "type": "EVENT", "name": "evt", "level": "WARNING", "status_message": "w", "end_time": None,
        "metadata": {"z": "[1]"}, "parent_observation_id": RETRIEVAL, "latency_ms": None,
    },
    "custom-gen": {"trace_id": "my-custom-trace-id", "parent_observation_id": "custom-span-id", "model": "m"},
}  # fmt: skip
SCORES: dict[str, dict[str, Any]] = {
    "7f1d2561-91e5-45c4-8237-94e2134c3834": {
        "trace_id": CHECKOUT, "observation_id": "", "name": "quality", "data_type": "NUMERIC", "value": 0.9,
        "comment": "good", "source": "API", "environment": "production", "at": at("20.206974"),
    },
    "e21990b6-b2c9-4a5a-9b66-870c029ad6a6": {
        "observation_id": SUMMARY, "data_type": "CATEGORICAL", "value": None, "string_value": "positive",
    },
    "acc3c76e-3824-47a8-b930-e8137d03b2f1": {"data_type": "BOOLEAN", "value": 1.0, "string_value": "True"},
    # an array of 5.0.4
    "975611ff7ef45523": {
        "trace_id": "9175e8c9956a3560587fe7b45f9f7bc7", "name": "user-feedback", "value": 1.0,
        "comment": "\U0001f44d merci", "metadata": {"source": "widget", "n": "1"},
    },
    "3d3b93c0722005ef": {"trace_id": "", "session_id": "sess-7", "name": "session-score", "value": 0.5},
    "50aa9c33824a2dda": {"trace_id": "", "dataset_run_id": "run-abc", "value": 0.25},
    "0da6d2d87e69d2fe": {"name": "output", "data_type": "CORRECTION", "string_value": "corrected output"},
    # single objects
    "made-score": {"trace_id": "made", "name": "thumbs", "value": 1.0},
}  # fmt: skip
SINGLE: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "generations", {"generationId": "made-g", "traceId": "made", "output": "o",
                              "endTime": "2026-11-23T08:58:03Z"}),
    ("POST", "scores", {"id": "made-score", "traceId": "made", "name": "thumbs", "value": 1}),
    ("POST", "generations", {"id": "made-g", "traceId": "made", "parentObservationId": "made-s", "name": "g",
                             "startTime": "2026-11-23T08:58:02Z"}),
    ("POST", "spans", {"id": "made-s", "traceId": "made", "name": "s", "startTime": "2026-11-23T08:58:01Z"}),
    ("POST", "traces", {"id": "made", "name": "by hand", "userId": "u", "tags": ["curl"]}),
]  # fmt: skip
TRACES["made"] = {"name": "by hand", "user_id": "u", "tags": ["curl"], "observation_count": 2}
OBSERVATIONS["made-g"] = {
    "type": "GENERATION", "name": "g", "output": "o", "latency_ms": 1000.0, "depth": 1, "user_id": "u",
    "path": ["made-s", "made-g"],
}  # fmt: skip


def check(stack: Stack, view: str, key: str, expected: dict[str, dict[str, Any]]) -> None:
    """Every column that is expected, of every row."""
    for entity, columns in expected.items():
        query = f"SELECT {', '.join(columns)} FROM {view} WHERE project_id = {{p:String}} AND {key} = {{e:String}}"
        result = stack.client.query(query, parameters={"p": PROJECT, "e": entity}, query_tz="UTC", tz_mode="aware")
        assert result.row_count == 1, (view, entity)
        assert dict(zip(columns, result.result_rows[0], strict=True)) == columns, (view, entity)


def confluent_records(registry: Path) -> list[Outgoing]:
    """What an old and a new writer say of one score and its trace, and their schemas in a folder as the registry."""
    old, new = schema_folder() / "history" / "ScoreEvent-1.avsc", schema_folder() / "TraceEvent.avsc"
    said: list[tuple[int, Path, dict[str, Any]]] = [
        (1, old, {"score_id": "framed-score", "trace_id": "framed", "name": "old", "value": 0.25}),
        (2, new, {"trace_id": "framed", "name": "new"}),
    ]
    records = []
    for number, path, event in said:
        (registry / f"{number}.avsc").write_bytes(path.read_bytes())
        body = BytesIO()
        schema = fastavro.parse_schema(json.loads(path.read_text()), _write_hint=False)
        fastavro.schemaless_writer(body, schema, {"project_id": PROJECT, "at": 1_795_424_302_000_000, **event})
        value = b"\x00" + number.to_bytes(4, "big") + body.getvalue()
        records.append(Outgoing(f"{PROJECT}/framed".encode(), value))
    return records


TRACES["framed"] = {"name": "new"}
SCORES["framed-score"] = {"trace_id": "framed", "name": "old", "value": 0.25}


async def test_recorded_clients_and_single_objects_become_the_rows_that_their_program_meant(
    stack: Stack, tmp_path: Path
) -> None:
    settings = stack.settings
    connection = {"kafka_bootstrap": settings.kafka_bootstrap, "topic_prefix": settings.topic_prefix}
    bodies = sorted(recorded.FOLDER.glob("*_ingestion.json"))[:5]
    records = 0
    async with running(tmp_path, **connection) as front:
        await healthy(front)
        for body in reversed(bodies):
            answer = await front.client.post("/api/public/ingestion", content=body.read_bytes())
            assert answer.json()["errors"] == []
            records += len(answer.json()["successes"])
        scores = (VERSION_5 / "020_POST_api_public_scores.json").read_bytes()
        assert (await front.client.post("/api/public/scores", content=scores)).status_code == 202
        for method, route, single in SINGLE:
            answer = await front.client.request(method, f"/api/public/{route}", json=single)
            assert answer.status_code == 200, answer.text
    await asyncio.to_thread(produce, settings, confluent_records(tmp_path))
    stack.worker(schema_registry=str(tmp_path))
    wait_until_stored(stack, records + 15 + len(SINGLE) + 2)
    check(stack, "traces", "trace_id", TRACES)
    check(stack, "observations", "observation_id", OBSERVATIONS)
    check(stack, "scores", "score_id", SCORES)
