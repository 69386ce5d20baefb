"""The routes that take one object: what clients used before there were batches, and what a person types into curl.

`POST` of a trace, observation, span, generation or event and `PATCH` of a span or generation answer `{"id": …}` of the
entity once Kafka has acknowledged. Each is the event that a batch would have carried (wrap.py); a table says which.
Failure: 400 with the reasons, 401 for a public key alone, 413, 429, 503.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.events import headers
from pipeline.ingest.accept import accept, record_headers
from pipeline.ingest.admit import admit_fully, json_body
from pipeline.ingest.answers import ApiError, EventError, InvalidBodyError, json_answer, unavailable
from pipeline.ingest.auth import Principal
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.judge import Accepted
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.wrap import Kind, wrap

RECEIVER = b"single"
ROUTES: dict[tuple[str, str], Kind] = {
    ("POST", "/api/public/traces"): Kind("trace-create"),
    ("POST", "/api/public/observations"): Kind("observation-create"),
    ("POST", "/api/public/spans"): Kind("span-create"),
    ("PATCH", "/api/public/spans"): Kind("span-update", id_key="spanId"),
    ("POST", "/api/public/generations"): Kind("generation-create"),
    ("PATCH", "/api/public/generations"): Kind("generation-update", id_key="generationId"),
    ("POST", "/api/public/events"): Kind("event-create", makes_id=True),
}

router = APIRouter()


def _endpoint(path: str, kind: Kind) -> Callable[[Request], Awaitable[Response]]:
    async def single(request: Request) -> Response:
        front = front_of(request)
        principal = await admit_fully(request)
        async with json_body(request, principal) as body:
            return json_answer({"id": await store_one(front, principal, path, kind, body)})

    return single


for (_method, _path), _kind in ROUTES.items():
    router.add_api_route(_path, _endpoint(_path, _kind), methods=[_method], name=f"{_method} {_path}")


async def store_one(front: FrontDoor, principal: Principal, route: str, kind: Kind, body: bytes) -> str:
    """The entity's id, once its event is stored. Raises ApiError and InvalidBodyError."""
    raw = wrap(principal.project.id, kind, body)
    common = record_headers(principal.project.id, RECEIVER, headers.LANGFUSE_JSON)
    judged = await front.aside.judge(principal, raw, front.settings.max_event_bytes, common)
    if isinstance(judged, EventError):
        front.metrics.count_events(route, accepted=0, rejected=1, failed=0)
        raise _refusal(judged)
    await _store(front, route, judged)
    return judged.entity_id


def _refusal(error: EventError) -> ApiError | InvalidBodyError:
    if error.status == 413:
        return ApiError(413, "PayloadTooLargeError", error.error)
    return InvalidBodyError(error.error)


async def _store(front: FrontDoor, route: str, accepted: Accepted) -> None:
    records = [accepted.record] if accepted.record else []
    try:
        outcomes = await accept(front, records)
    except ApiError:
        front.metrics.count_events(route, accepted=0, rejected=0, failed=1)
        raise
    if Outcome.TOO_LARGE in outcomes:
        front.metrics.count_events(route, accepted=0, rejected=1, failed=0)
        raise ApiError(413, "PayloadTooLargeError", "The event is larger than Kafka's limit for a message.")
    if Outcome.FAILED in outcomes:
        front.metrics.count_events(route, accepted=0, rejected=0, failed=1)
        raise unavailable("Kafka did not take the event.")
    front.metrics.count_events(route, accepted=1, rejected=0, failed=0)
