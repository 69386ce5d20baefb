"""The gate before every route that takes events: who is it, may there be more now, and how much is read of it.

Rule: the checks that cost nothing come first and nothing is read before they passed: 1 the key, 2 the project's rate
limits, 3 room behind us (lag) and here (requests that wait). Then the body: its type, its size as it comes and as it
unpacks, its pace.
Failure: ApiError, 401, 429, 503; 415, 408, 413.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from pipeline.ingest.answers import ApiError
from pipeline.ingest.auth import Principal, authenticate, authenticate_fully
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.limits import bounded_body

_LONGEST_SHOWN = 60


async def admit(request: Request) -> Principal:
    """The sender, be it a public key alone. Raises ApiError: 401, 429 or 503."""
    front = front_of(request)
    return within_limits(front, await authenticate(request, front.directory))


async def admit_fully(request: Request) -> Principal:
    """As `admit`, for what needs the secret key too."""
    front = front_of(request)
    return within_limits(front, await authenticate_fully(request, front.directory))


def within_limits(front: FrontDoor, principal: Principal) -> Principal:
    """The sender again. Raises ApiError, 429 where its project sends too much, 503 where there is no room behind us."""
    front.limiter.admit(principal.project)
    front.lag.check()
    front.waiting.check()
    return principal


@asynccontextmanager
async def json_body(request: Request, principal: Principal) -> AsyncIterator[bytes]:
    """A JSON body, unpacked, counted against the project's bytes. Raises ApiError: 408, 413, 415 or 503."""
    front = front_of(request)
    _check_json(request.headers.get("content-type", ""))
    async with bounded_body(request, front.settings.max_body_bytes, front.held) as body:
        front.limiter.charge_bytes(principal.project.id, len(body))
        with front.waiting.answering():
            yield body


def _check_json(content_type: str) -> None:
    """JSON in UTF-8, or nothing said at all."""
    kind, _, parameters = content_type.lower().partition(";")
    kind = kind.strip()
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if kind in ("", "application/json") or (kind.startswith("application/") and kind.endswith("+json")):
        if charset in ("", "utf-8", "utf8", "us-ascii"):
            return
        raise _unsupported(f"The charset {charset[:_LONGEST_SHOWN]!r} is not read here.", "Send UTF-8.")
    raise _unsupported(f"The content type {kind[:_LONGEST_SHOWN]!r} is not read here.", "Send application/json.")


def _unsupported(message: str, remedy: str) -> ApiError:
    return ApiError(415, "UnsupportedMediaTypeError", message, remedy=remedy)
