"""Media: images, audio and files that traces refer to, beside the stream of events.

A client declares a medium (`POST /api/public/media`), puts its bytes to the URL it is given, reports how that went
(`PATCH`), and later asks for a URL to read it (`GET`). Bytes never pass through Kafka; they go to the blob store in
parts, so that their size does not matter to memory. What is there already is not uploaded again (`uploadUrl` null).
Failure: 400, 401, 403 for a wrong URL, 404 for what is not there (yet), 413, 503 where the store fails.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.blobs import Media, MediaError, MediaStore
from pipeline.ingest.admit import admit_fully, json_body
from pipeline.ingest.answers import ApiError, InvalidBodyError, json_answer, unavailable
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.limits import read_chunks
from pipeline.ingest.media_body import declared_media, is_media_id, reported_upload
from pipeline.ingest.media_urls import VALID_SECONDS, Grant, granted, signed_query
from pipeline.metrics import Metric

ROUTE = "/api/public/media"
_FLUSH_BYTES = 2**20  # are gathered before a thread writes them
_HEADERS = {
    # A medium is a stranger's: it must not run as a page of ours.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600, immutable",
}
P = ParamSpec("P")
T = TypeVar("T")
router = APIRouter()


@router.post(ROUTE)
async def declare(request: Request) -> Response:
    """Where to put a medium; null where it is there already."""
    front, principal = front_of(request), await admit_fully(request)
    async with json_body(request, principal) as body:
        media = declared_media(body, front.settings.max_media_bytes)
    there = await _blocking(front.media.declare, principal.project.id, media)
    url = None if there else _url(request, front, "PUT", principal.project.id, media.id)
    return json_answer({"mediaId": media.id, "uploadUrl": url}, 201)


@router.patch(ROUTE + "/{media_id}")
async def report(request: Request, media_id: str) -> Response:
    """How an upload went, as the client saw it. What is there is what counts, so this changes nothing."""
    front, principal = front_of(request), await admit_fully(request)
    async with json_body(request, principal) as body:
        status = reported_upload(body)
    await _found(front, principal.project.id, media_id)
    front.metrics.add(Metric.INGEST_UPLOADS, 1, "ok" if 200 <= status < 300 else "failed")
    return json_answer({})


@router.get(ROUTE + "/{media_id}")
async def show(request: Request, media_id: str) -> Response:
    """What a medium is, and where to get it."""
    front, principal = front_of(request), await admit_fully(request)
    media = await _found(front, principal.project.id, media_id)
    if media.uploaded_at is None:
        raise _missing(media_id)
    found = {
        "mediaId": media.id,
        "contentType": media.content_type,
        "contentLength": media.content_length,
        "uploadedAt": _iso(media.uploaded_at),
        "url": _url(request, front, "GET", principal.project.id, media.id),
        "urlExpiry": _iso(time.time() + VALID_SECONDS),
    }
    return json_answer(found)


@router.put(ROUTE + "/{media_id}/content")
async def put(request: Request, media_id: str) -> Response:
    """Take the bytes."""
    front = front_of(request)
    grant = granted(front.media_key, "PUT", media_id, request.query_params)
    media = await _found(front, grant.project_id, media_id)
    try:
        await _receive(request, front.media, grant.project_id, media)
    except MediaError as error:
        raise InvalidBodyError(str(error)) from None
    return Response(status_code=200)


@router.get(ROUTE + "/{media_id}/content")
async def get(request: Request, media_id: str) -> Response:
    """Give the bytes."""
    front = front_of(request)
    grant = granted(front.media_key, "GET", media_id, request.query_params)
    media = await _found(front, grant.project_id, media_id)
    if media.uploaded_at is None:
        raise _missing(media_id)
    headers = {**_HEADERS, "Content-Length": str(media.content_length)}
    return StreamingResponse(_parts(front.media, grant), headers=headers, media_type=media.content_type)


async def _receive(request: Request, store: MediaStore, project_id: str, media: Media) -> None:
    """Write what comes, a part at a time. Raises MediaError or ApiError; nothing appears then."""
    upload = await _blocking(store.upload, project_id, media)
    gathered = bytearray()
    try:
        async for chunk in read_chunks(request, media.content_length):
            gathered += chunk
            if len(gathered) >= _FLUSH_BYTES:
                await _blocking(upload.write, bytes(gathered))
                gathered.clear()
        await _blocking(upload.write, bytes(gathered))
        await _blocking(upload.finish)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(upload.discard))
        raise


async def _parts(store: MediaStore, grant: Grant) -> AsyncIterator[bytes]:
    chunks = store.chunks(grant.project_id, grant.media_id)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


async def _found(front: FrontDoor, project_id: str, media_id: str) -> Media:
    media = await _blocking(front.media.find, project_id, media_id) if is_media_id(media_id) else None
    if media is None:
        raise _missing(media_id)
    return media


async def _blocking(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread. Raises ApiError (503) where the store fails."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise unavailable("The store of media does not answer.") from error


def _url(request: Request, front: FrontDoor, method: str, project_id: str, media_id: str) -> str:
    base = (front.settings.public_url or str(request.base_url)).rstrip("/")
    grant = Grant(method, project_id, media_id, int(time.time()) + VALID_SECONDS)
    return f"{base}{ROUTE}/{media_id}/content?{signed_query(front.media_key, grant)}"


def _missing(media_id: str) -> ApiError:
    return ApiError(404, "LangfuseNotFoundError", f"There is no medium with the id {media_id[:50]!r}.")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
