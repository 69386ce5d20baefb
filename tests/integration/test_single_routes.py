"""The routes for single objects, as curl and clients before version 2 use them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.model import Kind
from pipeline.local.kafka import LocalKafka
from tests.fixtures.front_door import Front, bearer, connected, stored, stored_events

pytestmark = pytest.mark.stack

START, START_MICROS = "2026-11-23T08:58:22.685314Z", 1_795_424_302_685_314
CREATED: dict[str, tuple[str, dict[str, Any], Kind, str, dict[str, Any]]] = {
    "trace": (
        "traces",
        {"id": "t1", "name": "chat", "userId": "u", "sessionId": "s", "release": "r", "version": "v", "public": True,
         "tags": ["b", "a"], "timestamp": START, "input": {"q": 1}, "metadata": "m", "externalId": "x"},
        Kind.TRACE, "t1",
        {"name": "chat", "user_id": "u", "session_id": "s", "release": "r", "version": "v", "public": True,
         "tags": ["b", "a"], "start_time": START_MICROS, "input": '{"q":1}', "metadata": {"metadata": "m"}},
    ),
    "observation": (
        "observations", {"id": "o1", "traceId": "t1", "type": "TOOL", "name": "search"},
        Kind.OBSERVATION, "o1", {"type": "TOOL", "name": "search"},
    ),
    "span": (
        "spans", {"id": "o2", "traceId": "t1", "startTime": START, "endTime": START, "level": "ERROR"},
        Kind.OBSERVATION, "o2",
        {"type": "SPAN", "start_time": START_MICROS, "end_time": START_MICROS, "level": "ERROR"},
    ),
    "generation": (
        "generations",
        {"id": "o3", "traceId": "t1", "model": "gpt-4o", "usage": {"promptTokens": 3, "completionTokens": 4},
         "modelParameters": {"temperature": 0.5}, "parentObservationId": "o2"},
        Kind.OBSERVATION, "o3",
        {"type": "GENERATION", "model": "gpt-4o", "usage": {"promptTokens": 3, "completionTokens": 4},
         "model_parameters": '{"temperature":0.5}', "parent_observation_id": "o2"},
    ),
    "event": (
        "events", {"id": "o4", "traceId": "t1", "name": "cache hit"},
        Kind.OBSERVATION, "o4", {"type": "EVENT", "name": "cache hit"},
    ),
}  # fmt: skip


@pytest.fixture
async def front(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with connected(kafka, topic_prefix, tmp_path, max_event_bytes=100_000, topic_partitions=4) as front:
        yield front


async def test_each_route_stores_its_object_and_answers_its_id(front: Front) -> None:
    for route, body, *_ in CREATED.values():
        answer = await front.client.post(f"/api/public/{route}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"id": body["id"]})
    found = {event.entity_id: event for event in await stored_events(front.settings)}
    assert len(found) == len(CREATED)
    for _, _, kind, entity, fields in CREATED.values():
        assert (found[entity].kind, found[entity].trace_id, found[entity].fields) == (kind, "t1", fields)
        assert found[entity].created


async def test_updates_find_their_observation_by_the_keys_of_old_clients(front: Front) -> None:
    for route, key, type_ in (("spans", "spanId", "SPAN"), ("generations", "generationId", "GENERATION")):
        answer = await front.client.patch(f"/api/public/{route}", json={key: route, "traceId": "t", "output": "x"})
        assert (answer.status_code, answer.json()) == (200, {"id": route})
        (event,) = [event for event in await stored_events(front.settings) if event.entity_id == route]
        assert event.fields == {"type_provisional": type_, "output": "x"}
        assert not event.created


async def test_an_object_without_an_id_gets_one_and_learns_it(front: Front) -> None:
    answers = await asyncio.gather(
        *[
            front.client.post(f"/api/public/{route}", json={"traceId": "t", "name": "n"})
            for route in ("spans", "events", "generations", "events")
        ],
        front.client.post("/api/public/traces", json={"name": "n"}),
    )
    given = [answer.json()["id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(set(given)) == 5
    assert {event.entity_id for event in await stored_events(front.settings)} == set(given)


async def test_gzip_is_read_here_too(front: Front) -> None:
    packed = gzip.compress(b'{"id":"t1"}')
    answer = await front.client.post("/api/public/traces", content=packed, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()) == (200, {"id": "t1"})


REFUSED: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"{", 400),
    "an array": (b"[]", 400),
    "nothing": (b"", 400),
    "a second value": (b'{"traceId":"t"}{}', 400),
    "an escape from the envelope": (b'{"traceId":"t"},"type":"sdk-log"', 400),
    "NaN": (b'{"traceId":"t","input":NaN}', 400),
    "Infinity": (b'{"traceId":"t","metadata":{"a":[-Infinity]}}', 400),
    "too deep": (b'{"traceId":"t","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep": (b'{"traceId":"t","input":' + b"[" * 1_000 + b"]" * 1_000 + b"}", 400),
    "invalid UTF-8": (b'{"traceId":"t","name":"\xff\xfe"}', 400),
    "lone surrogate": (b'{"traceId":"t","name":"\\ud800"}', 400),
    "control character in an id": (b'{"id":"a\\u0007b","traceId":"t"}', 400),
    "id of 801 characters": (b'{"traceId":"%s"}' % (b"x" * 801), 400),
    "id that is a number": (b'{"id":5,"traceId":"t"}', 400),
    "unknown level": (b'{"traceId":"t","level":"LOUD"}', 400),
    "year 9999": (b'{"traceId":"t","startTime":"9999-12-31T23:59:59Z"}', 400),
    "100 KB of text": (b'{"traceId":"t","input":"%s"}' % (b"x" * 100_000), 413),
    "10 MB of text": (b'{"traceId":"t","input":"%s"}' % (b"x" * 10_000_000), 413),
}


async def test_hostile_objects_are_refused_and_the_next_one_is_stored(front: Front) -> None:
    for case, (body, status) in REFUSED.items():
        answer = await front.client.post("/api/public/spans", content=body)
        assert answer.status_code == status, (case, answer.text)
        assert set(answer.json()) == {"message", "error"}, case
    assert (await front.client.post("/api/public/spans", json={"id": "o", "traceId": "t"})).status_code == 200
    assert [event.entity_id for event in await stored_events(front.settings)] == ["o"]


async def test_of_a_key_that_comes_twice_the_last_one_counts_for_the_answer_and_the_worker(front: Front) -> None:
    answer = await front.client.post("/api/public/spans", content=b'{"id":"a","traceId":"t","id":"b"}')
    assert answer.json() == {"id": "b"}
    assert [event.entity_id for event in await stored_events(front.settings)] == ["b"]


async def test_a_public_key_alone_a_wrong_type_and_a_wrong_method_are_refused(front: Front) -> None:
    for route in ("traces", "observations", "spans", "generations", "events"):
        url, client = f"/api/public/{route}", front.client
        assert (await client.post(url, json={}, headers=bearer(front.key.public_key))).status_code == 401
        assert (await client.post(url, json={}, headers={"Authorization": ""})).status_code == 401
        assert (await client.put(url, json={})).status_code == 405
        assert (await client.post(url, data={"name": "n"})).status_code == 415
        strange = {"Content-Type": "application/json; charset=utf-16"}
        assert (await client.post(url, content=b"{}", headers=strange)).status_code == 415
    assert await stored(front.settings) == []


async def test_an_observation_must_say_a_type_that_exists(front: Front) -> None:
    for type_ in (None, "", "FOO", 5):
        answer = await front.client.post("/api/public/observations", json={"id": "o", "traceId": "t", "type": type_})
        assert answer.status_code == 400
        assert "type" in json.dumps(answer.json()["error"])
