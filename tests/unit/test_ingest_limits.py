"""Bodies are bounded before, while and after they are read and decompressed."""

import gzip
import os
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from pipeline.ingest.answers import ApiError
from pipeline.ingest.decompress import decompress
from pipeline.ingest.limits import Held, bounded_body
from pipeline.metrics import Metrics


def request(*chunks: bytes, headers: dict[str, str] | None = None) -> Request:
    """A request whose body comes in these parts."""

    async def messages() -> AsyncIterator[Message]:
        for chunk in chunks:
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    source = messages()
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive=lambda: anext(source))


def held(limit: int = 1000) -> Held:
    return Held(limit, Metrics())


async def read(asked: Request, limit: int, budget: Held) -> bytes:
    async with bounded_body(asked, limit, budget) as body:
        return body


async def status_of(asked: Request, limit: int, budget: Held) -> int:
    with pytest.raises(ApiError) as refused:
        await read(asked, limit, budget)
    return refused.value.status


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert await read(request(b"abc", b"de"), 5, held()) == b"abcde"


async def test_a_longer_body_is_refused_by_its_header_and_without_one_while_reading() -> None:
    assert await status_of(request(headers={"content-length": "6"}), 5, held()) == 413
    assert await status_of(request(b"abc", b"def"), 5, held()) == 413
    assert await status_of(request(b"abcdef", headers={"content-length": "1"}), 5, held()) == 413


async def test_what_all_requests_hold_is_bounded_and_given_back() -> None:
    budget = held(10)
    async with bounded_body(request(b"123456"), 10, budget):
        assert await status_of(request(b"78901"), 10, budget) == 503
        assert await read(request(b"7890"), 10, budget) == b"7890"
    assert await read(request(b"1234567890"), 10, budget) == b"1234567890"


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 1_000_000])
async def test_gzip_of_any_size_up_to_the_limit_is_read(size: int) -> None:
    body = os.urandom(size)
    packed = request(gzip.compress(body), headers={"content-encoding": "gzip"})
    assert await read(packed, 1_000_400, held(3_000_000)) == body


@pytest.mark.parametrize("size", [1001, 300_000, 50_000_000])
async def test_a_gzip_bomb_is_refused_at_the_limit(size: int) -> None:
    with pytest.raises(ApiError) as refused:
        await decompress("gzip", gzip.compress(bytes(size)), 1000)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x") + b"more", gzip.compress(b"x")[:12]],
    ids=["empty", "plain", "cut", "more", "short"],  # the bytes have the time in them
)
async def test_what_is_no_complete_gzip_is_400(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        await decompress("gzip", body, 10_000)
    assert refused.value.status == 400


async def test_an_unknown_encoding_is_415() -> None:
    assert await status_of(request(b"x", headers={"content-encoding": "br"}), 5, held()) == 415
