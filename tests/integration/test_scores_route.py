"""`POST /api/public/scores`: one object or an array, the answers that each generation of clients expects."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.model import Event, Kind
from pipeline.local.kafka import LocalKafka
from tests.fixtures.front_door import Front, bearer, connected, stored_events

pytestmark = pytest.mark.stack

RECORDED = Path(__file__).parents[1] / "recorded"
ROUTE = "/api/public/scores"
TRACE = "9175e8c9956a3560587fe7b45f9f7bc7"
SPAN = "48c40c5f5ef19e9f"


@pytest.fixture
async def front(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with connected(kafka, topic_prefix, tmp_path, max_batch_events=100) as front:
        yield front


def numeric(value: float, **more: Any) -> dict[str, Any]:
    return {"data_type": "NUMERIC", "value": value, "string_value": "", "source": "API", **more}


def text(kind: str, value: str, **more: Any) -> dict[str, Any]:
    return {"data_type": kind, "string_value": value, "source": "API", **more}


def boolean(value: bool, **more: Any) -> dict[str, Any]:
    return {"data_type": "BOOLEAN", "value": float(value), "string_value": str(value), "source": "API", **more}


# Written by hand from what the recorded program did: id -> (group, microseconds within 08:56:19, fields).
EXPECTED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "72f0929e76dab55a": (TRACE, 325472, numeric(0.875, name="numeric", observation_id=SPAN, comment="span level")),
    "68a0af064e13af81": (TRACE, 325522, numeric(3.0, name="int-as-float", observation_id=SPAN)),
    "dbbab9cfb4ce6d81": (TRACE, 325533, text("CATEGORICAL", "excellent", name="trace-cat", comment="trace level")),
    "b6816d3e33f859a1": (TRACE, 325554, boolean(True, name="bool-true", observation_id=SPAN)),
    "fixed-score-id-1": (TRACE, 325566, boolean(False, name="bool-false")),
    "94de65de59253e71": (
        TRACE, 325698, text("CATEGORICAL", "no", name="hallucination", observation_id="34762e9313a940ef"),
    ),
    "975611ff7ef45523": (
        TRACE, 325827,
        numeric(1.0, name="user-feedback", comment="\U0001f44d merci", metadata={"source": "widget", "n": 1}),
    ),
    "3d3b93c0722005ef": ("session:sess-7", 325838, numeric(0.5, name="session-score", session_id="sess-7")),
    "50aa9c33824a2dda": ("run:run-abc", 325850, numeric(0.25, name="run-score", dataset_run_id="run-abc")),
    "7fa315a695d44a90": (TRACE, 325856, text("CATEGORICAL", "good", name="with-config")),
    "02b2103026bcb12f": (TRACE, 325905, text("TEXT", "a free text score", name="s-text")),
    "0da6d2d87e69d2fe": (TRACE, 325911, text("CORRECTION", "corrected output", name="output")),
    "0675d4f33f2b4bcd": (TRACE, 325918, numeric(0.0, name="bulk-0")),
    "df69d1cc213ee56c": (TRACE, 325922, numeric(0.025, name="bulk-1")),
}  # fmt: skip
SECOND = 1_795_424_179_000_000  # 2026-11-23 08:56:19 UTC


async def test_the_recorded_array_of_version_5_is_accepted_and_means_what_its_program_said(front: Front) -> None:
    body = (RECORDED / "langfuse-python-5.0.4" / "020_POST_api_public_scores.json").read_bytes()
    answer = await front.client.post(ROUTE, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (202, {"message": "Accepted"})
    found = {event.entity_id: event for event in await stored_events(front.settings)}
    backdated = found.pop("324f6c562663bb92")
    assert (backdated.at, backdated.fields["value"]) == (1_764_547_200_000_000, 9.5)
    assert found.keys() == EXPECTED.keys()
    for score_id, (group, micros, fields) in EXPECTED.items():
        event = found[score_id]
        assert (event.kind, event.trace_id, event.at, event.fields) == (Kind.SCORE, group, SECOND + micros, fields)


async def test_every_recorded_body_of_scores_is_accepted_whole(front: Front) -> None:
    sent = 0
    for path in sorted((RECORDED / "langfuse-python-5.0.4").glob("*_scores.json")):
        answer = await front.client.post(ROUTE, content=path.read_bytes())
        assert (answer.status_code, answer.json()) == (202, {"message": "Accepted"})
        sent += len(json.loads(path.read_bytes()))
    assert len(await stored_events(front.settings)) == sent


async def test_the_recorded_object_of_version_4_is_answered_with_an_id(front: Front) -> None:
    body = (RECORDED / "langfuse-python-4.18.0" / "022_POST_api_public_scores.json").read_bytes()
    answer = await front.client.post(ROUTE, content=body)
    (event,) = await stored_events(front.settings)
    assert (answer.status_code, answer.json()) == (200, {"id": event.entity_id})
    assert (event.trace_id, event.fields) == (TRACE, numeric(1.0, name="direct"))


async def test_an_array_sent_again_gives_the_same_events(front: Front) -> None:
    body = (RECORDED / "langfuse-python-5.0.4" / "025_POST_api_public_scores.json").read_bytes()
    for _ in range(2):
        await front.client.post(ROUTE, content=body)
    events = await stored_events(front.settings)
    assert len(events) == 16
    assert len({event.event_id for event in events}) == 8


async def test_a_bad_score_of_an_array_is_named_and_the_others_are_stored(front: Front) -> None:
    good = {"id": "good", "traceId": "t", "name": "n", "value": 1}
    bad: list[Any] = [
        {"traceId": "t", "name": "n", "value": "x", "dataType": "NUMERIC"},
        7,
        {"name": "n", "value": 1},
        {"traceId": "t", "name": "n", "value": "x" * 501, "dataType": "TEXT"},
        {"traceId": "t", "name": "n", "value": "", "dataType": "TEXT"},
        {"sessionId": "s", "name": "n", "value": "x", "dataType": "CORRECTION"},
        {"traceId": "t", "name": "n", "value": "x", "dataType": "CORRECTION", "configId": "c"},
    ]
    answer = await front.client.post(ROUTE, json=[*bad, good])
    assert answer.status_code == 207
    found = answer.json()
    assert (found["accepted"], found["rejected"]) == (1, len(bad))
    assert [error["message"].split("]")[0] for error in found["errors"]] == [f"[{n}" for n in range(len(bad))]
    assert [event.entity_id for event in await stored_events(front.settings)] == ["good"]


async def test_a_public_key_alone_may_send_scores(front: Front) -> None:
    score = {"id": "s", "traceId": "t", "name": "n", "value": 1}
    answer = await front.client.post(ROUTE, json=score, headers=bearer(front.key.public_key))
    assert (answer.status_code, answer.json()) == (200, {"id": "s"})
    answer = await front.client.post(ROUTE, json=[score], headers=bearer(front.key.public_key))
    assert answer.status_code == 202


WHOLE = [
    (b"", 400),
    (b"[", 400),
    (b"[{}", 400),
    (b"3", 400),
    (b"{}", 400),
    (b"[" * 100_000, 400),
    (b"[]", 202),
    (b"[" + b"{}," * 100 + b"{}]", 413),
]


async def test_what_is_no_score_is_refused_as_a_whole(front: Front) -> None:
    for body, status in WHOLE:
        answer = await front.client.post(ROUTE, content=body)
        assert answer.status_code == status, answer.text
    assert await stored_events(front.settings) == []


async def test_an_array_of_nothing_but_bad_scores_stores_nothing(front: Front) -> None:
    answer = await front.client.post(ROUTE, json=[{"name": "n"}])
    assert (answer.status_code, answer.json()["accepted"]) == (207, 0)
    events: list[Event] = await stored_events(front.settings)
    assert events == []
