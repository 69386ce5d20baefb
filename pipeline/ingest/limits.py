"""How much of a request is read: never more than its limit, whatever its headers say, and never more than all may hold.

Rule: the limit counts what arrives and what it unpacks to. Bodies that are held until Kafka answers are counted in a
`Held` budget. A body must come at a pace: a client that sends a byte now and then does not hold a place for ever.
Failure: 413 above the request's limit, 503 above the budget, 400 for what does not unpack, 408 below the pace.
Configured by SPANFOLD_MAX_BODY_BYTES and SPANFOLD_HELD_BYTES.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from pipeline.ingest.answers import ApiError, too_large, unavailable
from pipeline.ingest.decompress import IDENTITY, check_encoding, decompress
from pipeline.metrics import Metric, Metrics

PATIENCE = 20.0  # seconds that a body may take, and one more for each
SLOWEST = 10_000  # bytes that have come


class Held:
    """The bytes of all requests that are not answered yet."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._held = 0
        self._metrics = metrics

    def take(self, size: int) -> None:
        """Count `size` bytes. Raises ApiError (503) where that is more than the budget."""
        if self._held + size > self._limit:
            raise unavailable("Too many requests are waiting for Kafka.")
        self._add(size)

    def give_back(self, size: int) -> None:
        """The request is answered."""
        self._add(-size)

    def _add(self, size: int) -> None:
        self._held += size
        self._metrics.set(Metric.INGEST_HELD_BYTES, self._held)


@asynccontextmanager
async def bounded_body(request: Request, limit: int, held: Held) -> AsyncIterator[bytes]:
    """The body, decompressed; counted as held until the block ends."""
    taken = 0
    encoding = check_encoding(request.headers.get("content-encoding", ""))
    try:
        chunks: list[bytes] = []
        async for chunk in read_chunks(request, limit):
            held.take(len(chunk))
            taken += len(chunk)
            chunks.append(chunk)
        body = b"".join(chunks)
        if encoding not in IDENTITY:
            body = await decompress(encoding, body, limit)
            held.take(len(body))
            taken += len(body)
        yield body
    finally:
        held.give_back(taken)


async def read_chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The parts of the body. Raises ApiError: 413 as soon as it is known to be too long, 400 where the client left."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    received = 0
    stream = request.stream()
    begin = asyncio.get_running_loop().time()
    try:
        while True:
            async with asyncio.timeout_at(begin + PATIENCE + received / SLOWEST):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            received += len(chunk)
            if received > limit:
                raise too_large(limit)
            yield chunk
    except ClientDisconnect:
        raise ApiError(400, "InvalidRequestError", "The connection was closed before the body ended.") from None
    except TimeoutError:
        raise ApiError(
            408, "RequestTimeoutError", "The body comes too slowly.", headers={"Connection": "close"}
        ) from None
