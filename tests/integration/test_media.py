"""Media: recorded clients declare, upload, report and read; strangers, liars and large files."""

import asyncio
import base64
import hashlib
import os
import resource
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from pipeline.ingest.media_urls import Grant, signed_query, signing_key
from tests.fixtures.front_door import PROJECT, Front, bearer, running

NOWHERE = "127.0.0.1:1"
RECORDED = Path(__file__).parents[1] / "recorded"
CLIENTS = ["langfuse-python-2.60.10", "langfuse-python-4.18.0", "langfuse-python-5.0.4"]
ROUTE = "/api/public/media"


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with running(tmp_path, kafka_bootstrap=NOWHERE, max_media_bytes=200_000_000) as front:
        yield front


def declaration(content: bytes, **changes: Any) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    body = {"traceId": "t", "contentType": "image/png", "contentLength": len(content), "sha256Hash": digest}
    return {**body, "field": "input", **changes}


async def declared(front: Front, content: bytes, **changes: Any) -> tuple[str, str]:
    """(the id, the URL to upload to)."""
    answer = await front.client.post(ROUTE, json=declaration(content, **changes))
    assert answer.status_code == 201, answer.text
    return answer.json()["mediaId"], answer.json()["uploadUrl"]


async def upload(url: str, content: Any, method: str = "PUT") -> httpx.Response:
    """As clients do: without a key."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        return await client.request(method, url, content=content)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_recorded_client_finds_what_it_expects(front: Front, client: str) -> None:
    bytes_of = {path.stem.split("upload___")[1]: path.read_bytes() for path in (RECORDED / client).glob("*PUT*.bin")}
    uploads: dict[str, int] = defaultdict(int)
    for path in sorted((RECORDED / client).glob("*_media*.json")):
        body = path.read_bytes()
        if "_PATCH_" in path.name:
            media_id = path.stem.split("public_media_")[1]
            answer = await front.client.patch(f"{ROUTE}/{media_id}", content=body)
            assert (answer.status_code, answer.json()) == (200, {})
            continue
        answer = await front.client.post(ROUTE, content=body)
        assert answer.status_code == 201, answer.text
        said, found = orjson.loads(body), answer.json()
        assert found["mediaId"] == said["sha256Hash"].replace("+", "-").replace("/", "_")[:22]
        if found["uploadUrl"] and found["mediaId"] in bytes_of:
            assert (await upload(found["uploadUrl"], bytes_of[found["mediaId"]])).status_code == 200
            uploads[found["mediaId"]] += 1
    assert uploads == dict.fromkeys(bytes_of, 1)
    for media_id, content in bytes_of.items():
        shown = (await front.client.get(f"{ROUTE}/{media_id}")).json()
        assert set(shown) == {"mediaId", "contentType", "contentLength", "uploadedAt", "url", "urlExpiry"}
        assert (shown["mediaId"], shown["contentLength"]) == (media_id, len(content))
        read = await upload(shown["url"], None, "GET")
        assert (read.status_code, read.content, read.headers["content-type"].split(";")[0]) == (
            200,
            content,
            shown["contentType"],
        )
        assert "sandbox" in read.headers["content-security-policy"]


async def test_bytes_that_are_not_what_was_declared_never_appear(front: Front) -> None:
    media_id, url = await declared(front, b"right")
    for wrong, status in ((b"wrong", 400), (b"righ", 400), (b"right!", 413), (b"", 400)):
        assert (await upload(url, wrong)).status_code == status
        assert (await front.client.get(f"{ROUTE}/{media_id}")).status_code == 404
    assert (await upload(url, b"right")).status_code == 200
    assert (await upload(url, b"wrong")).status_code == 400
    shown = (await front.client.get(f"{ROUTE}/{media_id}")).json()
    assert (await upload(shown["url"], None, "GET")).content == b"right"
    assert (await front.client.post(ROUTE, json=declaration(b"right"))).json()["uploadUrl"] is None


async def test_a_url_permits_one_thing_and_not_for_ever(front: Front) -> None:
    media_id, url = await declared(front, b"right")
    assert (await upload(url, None, "GET")).status_code == 403
    assert (await upload(url.replace(PROJECT, "other"), b"right")).status_code == 403
    assert (await upload(url.replace("expires=1", "expires=2"), b"right")).status_code == 403
    assert (await upload(url.split("?")[0], b"right")).status_code == 403
    other, _ = await declared(front, b"another")
    assert (await upload(url.replace(media_id, other), b"another")).status_code == 403
    old = signed_query(signing_key(front.settings), Grant("PUT", PROJECT, media_id, int(time.time()) - 1))
    assert (await upload(f"{url.split('?')[0]}?{old}", b"right")).status_code == 403
    assert (await front.client.get(f"{ROUTE}/{media_id}")).status_code == 404


async def test_projects_do_not_see_each_others_media(front: Front) -> None:
    media_id, url = await declared(front, b"right")
    await upload(url, b"right")
    key = front.registry.create_key(front.registry.create_project("Two").id)
    auth = httpx.BasicAuth(key.public_key, key.secret_key)
    async with httpx.AsyncClient(base_url=front.client.base_url, auth=auth, trust_env=False) as other:
        assert (await other.get(f"{ROUTE}/{media_id}")).status_code == 404
        assert (await other.post(ROUTE, json=declaration(b"right"))).json()["uploadUrl"] is not None


BAD: list[dict[str, Any]] = [
    {"sha256Hash": "x"}, {"sha256Hash": "x" * 44}, {"contentLength": 0}, {"contentLength": -1}, {"contentLength": "5"},
    {"contentType": "image"}, {"contentType": "text/html\r\nX: y"}, {"contentType": ""}, {"field": "other"},
    {"traceId": None}, {"traceId": None, "datasetId": "d"},
]  # fmt: skip


async def test_what_cannot_be_declared_is_refused(front: Front) -> None:
    for changes in BAD:
        answer = await front.client.post(ROUTE, json=declaration(b"right", **changes))
        assert answer.status_code == 400, changes
    assert (await front.client.post(ROUTE, json=declaration(b"", contentLength=200_000_001))).status_code == 413
    assert (await front.client.post(ROUTE, content=b"[")).status_code == 400
    key = bearer(front.key.public_key)
    assert (await front.client.post(ROUTE, json=declaration(b"right"), headers=key)).status_code == 401
    for path in ("x" * 22, "..%2F..%2Fregistry.sqlite", "%00"):
        assert (await front.client.get(f"{ROUTE}/{path}")).status_code == 404
    report = {"uploadedAt": "2026-11-23T08:58:27Z", "uploadHttpStatus": 200}
    assert (await front.client.patch(f"{ROUTE}/{'x' * 22}", json=report)).status_code == 404


async def test_a_dataset_items_medium_needs_no_trace(front: Front) -> None:
    await declared(front, b"right", traceId=None, datasetId="d", datasetItemId="i", field="expectedOutput")


async def test_100_mb_pass_beside_the_events_and_take_no_memory(front: Front) -> None:
    block = os.urandom(2**20)
    content = b"".join([block] * 100)
    media_id, url = await declared(front, content, contentType="video/mp4")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield block

    uploading = asyncio.create_task(upload(url, parts()))
    slowest = 0.0
    while not uploading.done():
        begin = time.perf_counter()
        assert (await front.client.get("/api/public/projects")).status_code == 200
        slowest = max(slowest, time.perf_counter() - begin)
    assert (await uploading).status_code == 200
    shown = (await front.client.get(f"{ROUTE}/{media_id}")).json()
    digest = hashlib.sha256()
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
        client.stream("GET", shown["url"]) as answer,
    ):
        async for chunk in answer.aiter_bytes():
            digest.update(chunk)
    assert base64.b64encode(digest.digest()).decode() == declaration(content)["sha256Hash"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB, client and server together
    assert slowest < 2


async def test_the_signing_key_is_made_once_and_read_by_its_owner_only(front: Front) -> None:
    path = front.settings.data_dir / "media.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing_key(front.settings) == path.read_bytes()
    assert [file.name for file in path.parent.glob("media*")] == ["media.key"]


async def test_a_store_in_memory_works_as_a_folder_does(tmp_path: Path) -> None:
    url = f"memory://spanfold-test-{os.getpid()}"
    async with running(tmp_path, kafka_bootstrap=NOWHERE, blob_url=url, public_url="http://nowhere.example/") as front:
        media_id, signed = await declared(front, b"right")
        assert signed.startswith("http://nowhere.example/api/public/media/")
        path = signed.removeprefix("http://nowhere.example")
        assert (await front.client.put(path, content=b"wrong")).status_code == 400
        assert (await front.client.put(path, content=b"right")).status_code == 200
        shown = (await front.client.get(f"{ROUTE}/{media_id}")).json()
        read = await front.client.get(shown["url"].removeprefix("http://nowhere.example"))
        assert read.content == b"right"
    assert not (tmp_path / "blobs").exists()
