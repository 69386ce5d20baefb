"""Clients that are slow or send headers without end: they lose their connection, the others notice nothing."""

import asyncio
import gzip
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.ingest import limits
from tests.fixtures.front_door import Front, basic, running

NOWHERE = "127.0.0.1:1"


async def open_(front: Front) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = front.client.base_url
    return await asyncio.open_connection(url.host, url.port)


async def exchange(front: Front, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send the parts with pauses; all that is answered until the server closes the connection."""
    reader, writer = await open_(front)
    answered = asyncio.ensure_future(_until_closed(reader))
    try:
        for part in parts:
            if answered.done():
                break
            writer.write(part)
            await asyncio.wait([answered], timeout=pause)
        return await asyncio.wait_for(answered, 10)
    finally:
        writer.close()


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    """What came; who sends into a connection that is being closed has it reset, after the answer."""
    answer = bytearray()
    with suppress(ConnectionResetError):
        while some := await reader.read(2**16):
            answer += some
    return bytes(answer)


def request(front: Front, *more: str, body: bytes = b"") -> bytes:
    key = basic(front.key.public_key, front.key.secret_key)["Authorization"]
    lines = ["POST /api/public/ingestion HTTP/1.1", "Host: x", f"Authorization: {key}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_headers_that_never_end_are_408_however_they_trickle(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap=NOWHERE, header_timeout=0.4) as front:
        assert (await exchange(front)).startswith(b"HTTP/1.1 408")
        begin = asyncio.get_running_loop().time()
        trickle = [b"GET /health HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 100]
        assert (await exchange(front, *trickle, pause=0.05)).startswith(b"HTTP/1.1 408")
        assert asyncio.get_running_loop().time() - begin < 5


async def test_headers_that_are_too_long_are_431_in_one_piece_and_in_many(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap=NOWHERE, max_header_bytes=4096) as front:
        for long in (b"X-Long: " + b"x" * 5_000, b"X-A: b\r\n" * 1_000, b""):
            path = b"/" + b"p" * (0 if long else 5_000)
            answer = await exchange(front, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 431"), answer
        endless = [b"GET / HTTP/1.1\r\n", *[b"X-Endless: " + b"x" * 500 + b"\r\n"] * 1_000]
        assert (await exchange(front, *endless, pause=0.001)).startswith(b"HTTP/1.1 431")
        assert (await front.client.get("/api/public/projects")).status_code == 200


async def test_a_connection_serves_many_requests_and_bodies_do_not_count_as_headers(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap=NOWHERE, max_header_bytes=1024) as front:
        reader, writer = await open_(front)
        for _ in range(3):
            writer.write(request(front, "Content-Length: 20000", body=b"x" * 20_000))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 400")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()


async def test_a_body_that_trickles_is_408_and_its_bytes_are_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.4)
    async with running(tmp_path, kafka_bootstrap=NOWHERE) as front:
        begin = asyncio.get_running_loop().time()
        slow = [request(front, "Content-Length: 1000"), *[b"x"] * 200]
        answer = await exchange(front, *slow, pause=0.05)
        assert answer.startswith(b"HTTP/1.1 408")
        assert asyncio.get_running_loop().time() - begin < 5
        assert "spanfold_ingest_held_bytes 0.0" in (await front.client.get("/metrics")).text


async def test_a_body_that_nobody_reads_may_not_trickle_for_ever(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap=NOWHERE, header_timeout=0.4, max_body_bytes=1000) as front:
        refused = [request(front, "Content-Length: 100000"), *[b"x"] * 200]
        answer = await exchange(front, *refused, pause=0.05)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"HTTP/1.1 408" in answer


async def test_what_is_no_http_is_400(tmp_path: Path) -> None:
    async with running(tmp_path, kafka_bootstrap=NOWHERE) as front:
        for junk in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
            assert (await exchange(front, junk)).startswith(b"HTTP/1.1 400")


async def test_a_bomb_of_a_gigabyte_is_413_and_costs_no_memory(tmp_path: Path) -> None:
    inner = gzip.compress(bytes(64 * 2**20), 9)
    bomb = inner * 16  # a gzip file may have several members: 1 GB of zeros in 1 MB
    async with running(tmp_path, kafka_bootstrap=NOWHERE) as front:
        before = memory_kib()
        for body in (bomb, inner):
            answer = await front.client.post(
                "/api/public/ingestion", content=body, headers={"Content-Encoding": "gzip"}
            )
            assert answer.status_code == 413
        assert memory_kib() - before < 50_000


def memory_kib() -> int:
    """The most memory that this process, in which the front door runs, ever had."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
