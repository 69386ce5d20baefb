"""The front door with a real broker: what is answered, and what is then in the topic."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import __version__
from pipeline.config import Settings
from pipeline.events import headers
from pipeline.ingest.answers import UNKNOWN_ID
from pipeline.local.kafka import LocalKafka
from pipeline.ops.topics import ensure_topics
from tests.fixtures.front_door import (
    PROJECT,
    Front,
    basic,
    batch,
    bearer,
    healthy,
    running,
    span,
    stored,
    stored_events,
)

pytestmark = pytest.mark.stack

LARGEST_BODY = 30_000_000
LARGEST_EVENT = 1_000_000


@pytest.fixture
async def front(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Front]:
    connection: dict[str, Any] = {"kafka_bootstrap": kafka.bootstrap, "topic_prefix": topic_prefix}
    await ensure_topics(Settings(**connection))
    limits = {"max_body_bytes": LARGEST_BODY, "max_event_bytes": LARGEST_EVENT}
    async with running(tmp_path, **connection, **limits) as front:
        await healthy(front)
        yield front


def ids(answer: httpx.Response) -> list[str]:
    """The accepted ids of a 207."""
    assert answer.status_code == 207, answer.text
    assert all(success["status"] == 201 for success in answer.json()["successes"])
    return [success["id"] for success in answer.json()["successes"]]


async def values(front: Front) -> list[bytes | None]:
    """The values in the topic, sorted: events of different traces have no order."""
    return sorted(record.value for record in await stored(front.settings))


async def test_one_broken_event_of_ten_is_named_and_nine_are_stored_as_they_came(front: Front) -> None:
    good = [json.dumps(span(n, trace=f"t{n % 3}", input={"a": "é"}), indent=n).encode() for n in range(9)]
    broken = json.dumps(span(9, startTime="yesterday")).encode()
    answer = await front.send(*good[:4], broken, *good[4:])
    assert ids(answer) == [f"e{n}" for n in range(9)]
    (error,) = answer.json()["errors"]
    assert (error["id"], error["status"], error["message"]) == ("e9", 400, "Invalid request data")
    assert "startTime" in error["error"]
    assert await values(front) == sorted(good)


async def test_records_carry_their_key_and_headers(front: Front) -> None:
    await front.send(span(1, trace="t7"))
    (record,) = await stored(front.settings)
    found = dict(record.headers)
    assert record.key == f"{PROJECT}/t7".encode()
    assert found[headers.CONTENT_TYPE] == headers.LANGFUSE_JSON
    assert (found[headers.PROJECT], found[headers.RECEIVER]) == (PROJECT.encode(), b"ingestion")
    assert abs(int(found[headers.RECEIVED_AT]) / 1000 - record.timestamp) < 60_000


async def test_events_of_a_trace_stay_in_one_partition_and_in_order(front: Front) -> None:
    await asyncio.gather(*[front.send(*[span(n, trace=f"t{t}") for n in range(50)]) for t in range(20)])
    places: dict[bytes, set[int]] = {}
    order: dict[bytes, list[str]] = {}
    for record in await stored(front.settings):
        places.setdefault(record.key, set()).add(record.partition)
        order.setdefault(record.key, []).append(json.loads(record.value)["id"])
    assert len(places) == 20
    assert all(len(partitions) == 1 for partitions in places.values())
    assert all(found == [f"e{n}" for n in range(50)] for found in order.values())


async def test_the_same_id_twice_in_a_batch_is_two_events(front: Front) -> None:
    assert ids(await front.send(span(1), span(1))) == ["e1", "e1"]
    assert len(await values(front)) == 2


async def test_an_empty_batch_is_answered_with_empty_arrays(front: Front) -> None:
    answer = await front.send()
    assert answer.status_code == 207
    assert answer.json() == {"successes": [], "errors": []}


async def test_sdk_logs_are_accepted_and_not_stored(front: Front) -> None:
    log = {"id": "l1", "type": "sdk-log", "timestamp": "2026-11-23T08:58:22Z", "body": {"log": "x"}}
    assert sorted(ids(await front.send(log, span(1)))) == ["e1", "l1"]
    assert len(await values(front)) == 1


async def test_gzip_is_read_and_a_bomb_is_not(front: Front) -> None:
    packed = {"Content-Encoding": "gzip"}
    url = "/api/public/ingestion"
    big = span(1, input="x" * 900_000)
    assert ids(await front.client.post(url, content=gzip.compress(batch(big)), headers=packed)) == ["e1"]
    assert await values(front) == [json.dumps(big).encode()]
    bomb = gzip.compress(bytes(LARGEST_BODY + 1))
    assert (await front.client.post(url, content=bomb, headers=packed)).status_code == 413
    assert (await front.client.post(url, content=b"no gzip", headers=packed)).status_code == 400


HOSTILE = {
    "too deep": (b'{"id":"bad","type":"span-create","timestamp":"2026-11-23T08:58:22Z","body":{"input":'
                 + b"[" * 100_000 + b"]" * 100_000 + b"}}", "bad", 400),
    "invalid UTF-8": (json.dumps(span(0)).encode().replace(b'"n"', b'"\xff\xfe"'), "e0", 400),
    "lone surrogate": (json.dumps(span(0)).encode().replace(b'"n"', b'"\\ud800"'), "e0", 400),
    "raw control character": (json.dumps(span(0)).encode().replace(b'"n"', b'"\x01"'), "e0", 400),
    "control character in an id": (json.dumps({**span(0), "id": "a\u0007b"}).encode(), "a\u0007b", 400),
    "no id": (json.dumps({**span(0), "id": None}).encode(), UNKNOWN_ID, 400),
    "unknown type": (json.dumps({**span(0), "type": "dataset-run-item-create"}).encode(), "e0", 400),
    "no object": (b'"text"', UNKNOWN_ID, 400),
    "nothing between commas": (b"", UNKNOWN_ID, 400),
    "10 MB of text": (json.dumps(span(0, input="x" * 10_000_000)).encode(), "e0", 413),
}  # fmt: skip


@pytest.mark.parametrize(("hostile", "shown", "status"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_event_is_refused_alone(front: Front, hostile: bytes, shown: str, status: int) -> None:
    answer = await front.send(span(1), hostile, span(2, trace="t2"))
    assert ids(answer) == ["e1", "e2"]
    (error,) = answer.json()["errors"]
    assert (error["id"], error["status"]) == (shown, status)
    assert error["error"]
    assert await values(front) == [json.dumps(span(1)).encode(), json.dumps(span(2, trace="t2")).encode()]


async def test_nan_never_costs_the_neighbours(front: Front) -> None:
    answer = await front.send(span(1), span(0, input={"x": float("nan")}), span(2))
    judged = ids(answer) + [error["id"] for error in answer.json()["errors"]]
    assert sorted(judged) == ["e0", "e1", "e2"]
    assert {"e1", "e2"} <= set(ids(answer))


async def test_of_a_key_that_stands_twice_the_last_holds_for_the_front_door_and_for_the_worker(front: Front) -> None:
    """Else an event could lie in the partition of one trace and be folded into another."""
    twice = json.dumps(span(0)).replace('"id": "e0"', '"id": "e9", "id": "e0"')
    twice = twice.replace('"traceId": "t1"', '"traceId": "t9", "traceId": "t1"')
    assert ids(await front.send(twice.encode(), span(1))) == ["e0", "e1"]
    assert {record.key for record in await stored(front.settings)} == {f"{PROJECT}/t1".encode()}
    found = sorted((event.event_id, event.trace_id) for event in await stored_events(front.settings))
    assert found == [("e0", "t1"), ("e1", "t1")]
    wrong = await front.client.post("/api/public/ingestion", data={"batch": "[]"})
    assert (wrong.status_code, wrong.json()["error"]) == (415, "UnsupportedMediaTypeError")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"batch":3}', b'{"batch":[{}', b"\xff"])
async def test_what_is_no_batch_is_400_with_a_list_of_errors(front: Front, body: bytes) -> None:
    answer = await front.client.post("/api/public/ingestion", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid request data"
    assert all(isinstance(error, str) and error for error in answer.json()["errors"])


async def test_a_body_above_the_limit_is_413_with_and_without_its_length(front: Front) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(LARGEST_BODY // 1_000_000 + 1):
            yield bytes(1_000_000)

    for content in (bytes(LARGEST_BODY + 1), parts()):
        answer = await front.client.post("/api/public/ingestion", content=content)
        assert answer.status_code == 413
        assert set(answer.json()) == {"message", "error"}
    assert ids(await front.send(span(1))) == ["e1"]


async def test_wrong_keys_are_401_and_nothing_is_stored(front: Front) -> None:
    key = front.key
    wrong = [
        basic(key.public_key, "sk-lf-x"),
        basic("pk-lf-x", key.secret_key),
        bearer("pk-lf-x"),
        {"Authorization": "x"},
    ]
    for header in wrong:
        answer = await front.send(span(1), headers=header)
        assert answer.status_code == 401
        assert answer.json()["error"] == "UnauthorizedError"
        assert key.secret_key not in answer.text
    assert await values(front) == []


async def test_a_revoked_key_is_refused_within_seconds(front: Front) -> None:
    assert ids(await front.send(span(1))) == ["e1"]
    front.registry.revoke_key(front.key.public_key)
    async with asyncio.timeout(10):
        while (await front.send()).status_code != 401:
            await asyncio.sleep(0.1)


async def test_a_public_key_alone_may_send_scores_and_nothing_else(front: Front) -> None:
    score = {
        "id": "sc1",
        "type": "score-create",
        "timestamp": "2026-11-23T08:58:22Z",
        "body": {"name": "thumbs", "value": 1, "traceId": "t1"},
    }
    answer = await front.send(score, span(1), headers=bearer(front.key.public_key))
    assert ids(answer) == ["sc1"]
    (error,) = answer.json()["errors"]
    assert (error["id"], error["status"], error["message"]) == ("e1", 401, "Authentication error")
    assert await values(front) == [json.dumps(score).encode()]
    assert (await front.client.get("/api/public/projects", headers=bearer(front.key.public_key))).status_code == 401


async def test_projects_health_and_unknown_paths_answer_in_json(front: Front) -> None:
    (project,) = (await front.client.get("/api/public/projects")).json()["data"]
    assert project == {
        "id": PROJECT,
        "name": "One",
        "organization": {"id": "default", "name": "Default"},
        "metadata": {},
    }
    for path in ("/api/public/health", "/health"):
        answer = await front.client.get(path, headers={"Authorization": ""})
        assert (answer.status_code, answer.json()) == (200, {"status": "OK", "version": __version__})
    missing = await front.client.get("/api/public/nothing")
    assert (missing.status_code, missing.json()["error"]) == (404, "LangfuseNotFoundError")
    wrong = await front.client.get("/api/public/ingestion")
    assert (wrong.status_code, wrong.json()["message"]) == (405, "Method not allowed")
    assert wrong.headers["allow"] == "POST"


async def test_a_browser_may_ask_before_it_sends(front: Front) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await front.client.options("/api/public/ingestion", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]


async def test_metrics_count_events_and_requests(front: Front) -> None:
    await front.send(span(1), span(2), b"{}")
    await front.client.get("/strange/path")
    text = (await front.client.get("/metrics")).text
    assert 'spanfold_ingest_events_total{outcome="accepted",route="/api/public/ingestion"} 2.0' in text
    assert 'spanfold_ingest_events_total{outcome="rejected",route="/api/public/ingestion"} 1.0' in text
    assert 'spanfold_ingest_requests_total{route="/api/public/ingestion",status="207"} 1.0' in text
    assert 'spanfold_ingest_requests_total{route="other",status="404"} 1.0' in text
    assert "spanfold_ingest_held_bytes 0.0" in text
    assert "strange" not in text


async def test_many_batches_at_once_are_all_stored(front: Front) -> None:
    noise = os.urandom(3000).hex()
    sent = [[span(100 * b + n, trace=f"t{b}-{n % 7}", input=noise) for n in range(100)] for b in range(20)]
    answers = await asyncio.gather(*[front.send(*events) for events in sent])
    assert all(len(ids(answer)) == 100 for answer in answers)
    assert await values(front) == sorted(json.dumps(event).encode() for events in sent for event in events)
