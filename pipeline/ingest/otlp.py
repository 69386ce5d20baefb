"""OTLP over HTTP: traces at Langfuse's path and at OpenTelemetry's own, in protobuf and JSON.

The answer waits until Kafka has acknowledged every span. 200 with partial success names what was rejected; 400, 401,
408, 413, 415, 429 and 503 concern the whole export, and of these 429 and 503 ask the client to send it again.
Logs and metrics are not stored, and their routes say so.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.events import headers
from pipeline.ingest.admit import admit_fully
from pipeline.ingest.answers import ApiError
from pipeline.ingest.front import front_of
from pipeline.ingest.limits import bounded_body
from pipeline.ingest.otlp_answers import JSON, PROTOBUF, status_answer, taken_answer
from pipeline.ingest.otlp_export import Taken, take_export

WAYS = ("/api/public/otel/v1", "/v1")  # Langfuse's and OpenTelemetry's own
ROUTE, STANDARD_ROUTE = (f"{way}/traces" for way in WAYS)
NEWEST_VERSION = 4  # of x-langfuse-ingestion-version

_CONTENT = {PROTOBUF: headers.OTLP_PROTOBUF, JSON: headers.OTLP_JSON}
_NAMES = {PROTOBUF: PROTOBUF, "application/protobuf": PROTOBUF, JSON: JSON}

router = APIRouter()


@router.post(ROUTE)
@router.post(STANDARD_ROUTE)
async def traces(request: Request) -> Response:
    """Authenticate, read, cut, judge, produce, answer."""
    content_type = _NAMES.get(_kind(request), "")
    try:
        return taken_answer(await _take(request, content_type), content_type)
    except ApiError as error:
        return status_answer(error, content_type or JSON)


async def _take(request: Request, content_type: str) -> Taken:
    front = front_of(request)
    principal = await admit_fully(request)
    if not content_type:
        raise ApiError(
            415,
            "UnsupportedMediaTypeError",
            f"The content type {_kind(request)[:60]!r} is no encoding of OTLP.",
            remedy=f"Send {PROTOBUF} or {JSON}.",
        )
    _check_version(request.headers.get("x-langfuse-ingestion-version"))
    async with bounded_body(request, front.settings.max_export_bytes, front.held) as body:
        front.limiter.charge_bytes(principal.project.id, len(body))
        with front.waiting.answering():
            return await take_export(front, principal.project.id, _CONTENT[content_type], body, ROUTE)


@router.post("/api/public/otel/v1/logs")
@router.post("/api/public/otel/v1/metrics")
@router.post("/v1/logs")
@router.post("/v1/metrics")
async def not_stored(request: Request) -> Response:
    """501: exporters do not send again what is answered so."""
    what = request.url.path.rpartition("/")[2]
    error = ApiError(501, "NotImplementedError", f"{what.capitalize()} are not stored, only traces are.")
    return status_answer(error, _NAMES.get(_kind(request), JSON))


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_version(value: str | None) -> None:
    """Langfuse's rule: absent, or a number up to the newest version known."""
    if value is not None and not (value.isdecimal() and len(value) < 5 and int(value) <= NEWEST_VERSION):
        raise ApiError(
            400,
            "InvalidRequestError",
            f"x-langfuse-ingestion-version is {value[:20]!r}.",
            remedy=f"It is a whole number up to {NEWEST_VERSION}.",
        )
