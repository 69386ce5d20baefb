"""Deleting: what is answered, and the tombstones that go down the stream."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import time_ns

import pytest

from pipeline.errors import SpanfoldError
from pipeline.events import headers
from pipeline.events.model import Kind
from pipeline.local.kafka import LocalKafka
from pipeline.score_lookup import ScoreLookup
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.front_door import PROJECT, Front, bearer, connected, running, stored, stored_events
from tests.fixtures.store import migrated, settings_for

pytestmark = pytest.mark.stack

RECORDED = Path(__file__).parents[1] / "recorded" / "langfuse-python-5.0.4" / "086_DELETE_api_public_traces.json"
GROUPS = {"s1": ["t1"], "s2": ["session:x", "run:y"], "broken": []}


async def find_score(project_id: str, score_id: str) -> list[str]:
    if score_id == "broken":
        raise SpanfoldError("ClickHouse is away")
    return GROUPS.get(score_id, []) if project_id == PROJECT else []


@pytest.fixture
async def front(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with connected(kafka, topic_prefix, tmp_path, find_score) as front:
        yield front


async def test_a_trace_is_deleted_by_a_tombstone_of_now(front: Front) -> None:
    before = time_ns() // 1000
    answer = await front.client.delete("/api/public/traces/folder%2Ft%201")
    assert (answer.status_code, answer.json()) == (200, {"message": "Trace deleted successfully"})
    (record,) = await stored(front.settings)
    assert (record.key, dict(record.headers)[headers.CONTENT_TYPE]) == (
        f"{PROJECT}/folder/t 1".encode(),
        headers.CANONICAL_JSON,
    )
    (event,) = await stored_events(front.settings)
    assert (event.kind, event.entity_id, event.fields) == (Kind.TRACE, "folder/t 1", {"deleted": True})
    assert before <= event.at <= time_ns() // 1000


async def test_many_traces_are_deleted_as_clients_ask(front: Front) -> None:
    answer = await front.client.request("DELETE", "/api/public/traces", content=RECORDED.read_bytes())
    assert (answer.status_code, answer.json()) == (200, {"message": "Traces deleted successfully"})
    events = await stored_events(front.settings)
    assert {event.trace_id for event in events} == {"a" * 32, "b" * 32}


async def test_a_score_is_deleted_where_its_trace_is(front: Front) -> None:
    for score_id, groups in (("s1", ["t1"]), ("s2", ["session:x", "run:y"])):
        assert (await front.client.delete(f"/api/public/scores/{score_id}")).status_code == 202
        found = [event for event in await stored_events(front.settings) if event.entity_id == score_id]
        assert sorted(event.trace_id for event in found) == sorted(groups)
        assert all((event.kind, event.fields) == (Kind.SCORE, {"deleted": True}) for event in found)


async def test_an_unknown_score_is_404_and_a_store_that_is_away_503(front: Front) -> None:
    unknown = await front.client.delete("/api/public/scores/nothing")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "LangfuseNotFoundError")
    away = await front.client.delete("/api/public/scores/broken")
    assert (away.status_code, "retry-after" in away.headers) == (503, True)
    assert await stored(front.settings) == []


async def test_ids_that_cannot_be_are_400(front: Front) -> None:
    for path in ("traces/a%07b", "scores/a%07b", "traces/session:x", "traces/" + "x" * 801):
        assert (await front.client.delete(f"/api/public/{path}")).status_code == 400
    assert await stored(front.settings) == []


LISTS = [
    (b"", 400),
    (b"{}", 400),
    (b'{"traceIds":[]}', 400),
    (b'{"traceIds":[1]}', 400),
    (b'{"traceIds":["a","\\u0000"]}', 400),
    (b'{"traceIds":["\xff"]}', 400),
    (b'{"traceIds":["a","run:b"]}', 400),
    (b'{"traceIds":[%s]}' % b",".join(b'"%d"' % n for n in range(1001)), 413),
]


async def test_a_list_of_traces_is_taken_whole_or_not_at_all(front: Front) -> None:
    for body, status in LISTS:
        answer = await front.client.request("DELETE", "/api/public/traces", content=body)
        assert answer.status_code == status, answer.text
    assert await stored(front.settings) == []


async def test_a_public_key_alone_deletes_nothing(front: Front) -> None:
    for path in ("traces/t", "traces", "scores/s1"):
        answer = await front.client.delete(f"/api/public/{path}", headers=bearer(front.key.public_key))
        assert answer.status_code == 401
    assert await stored(front.settings) == []


async def test_a_front_door_without_a_store_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap="127.0.0.1:1", produce_timeout=0.2) as front:
        assert (await front.client.delete("/api/public/scores/s1")).status_code == 503


async def test_the_lookup_finds_what_a_score_belongs_to(clickhouse: ClickHouseProcess, database: str) -> None:
    with migrated(clickhouse.url, database) as client:
        columns = ["project_id", "score_id", "trace_id", "session_id", "dataset_run_id"]
        rows = [
            ["p", "a", "t", "", ""],
            ["p", "b", "", "x", ""],
            ["p", "c", "", "", "y"],
            ["other", "a", "not mine", "", ""],
        ]
        client.insert("scores_rows", rows, columns)
        find = ScoreLookup(settings_for(clickhouse.url, database))
        asked = {score_id: await find("p", score_id) for score_id in ("a", "b", "c", "d' OR 1=1")}
    assert asked == {"a": ["t"], "b": ["session:x"], "c": ["run:y"], "d' OR 1=1": []}


async def test_a_lookup_without_a_store_is_an_error_for_people() -> None:
    with pytest.raises(SpanfoldError, match="did not answer"):
        await ScoreLookup(settings_for("http://127.0.0.1:1", "nowhere"), seconds=0.2)("p", "s")
