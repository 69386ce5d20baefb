"""`POST /api/public/scores`, as each generation of clients sends it.

One object: `200 {"id": …}`. An array, as version 5 sends: `202 {"message": "Accepted"}` where all are stored, else `207
{"accepted", "rejected", "errors": [{"message"}]}`. A public key alone (Bearer) may send scores.
Failure of the whole request: 400 for what is no JSON, 401, 413, 429, 503.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.events import headers
from pipeline.ingest.accept import accept, record_headers
from pipeline.ingest.admit import admit, json_body
from pipeline.ingest.answers import ApiError, EventError, InvalidBodyError, json_answer, too_many, unavailable
from pipeline.ingest.auth import Principal
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.lanes import Outgoing
from pipeline.ingest.single import RECEIVER, store_one
from pipeline.ingest.wrap import Kind, split_objects, wrap

ROUTE = "/api/public/scores"
SCORE = Kind("score-create", timed=True)

router = APIRouter()


@router.post(ROUTE)
async def scores(request: Request) -> Response:
    """Store one score or an array of them."""
    front = front_of(request)
    principal = await admit(request)
    async with json_body(request, principal) as body:
        if body.lstrip()[:1] == b"[":
            return await _store_many(front, principal, split_objects(body))
        return json_answer({"id": await store_one(front, principal, ROUTE, SCORE, body)})


async def _store_many(front: FrontDoor, principal: Principal, bodies: list[bytes]) -> Response:
    if len(bodies) > front.settings.max_batch_events:
        raise too_many("scores", front.settings.max_batch_events)
    records, errors = await _judge_all(front, principal, bodies)
    try:
        outcomes = await accept(front, records)
    except ApiError:
        front.metrics.count_events(ROUTE, accepted=0, rejected=len(errors), failed=len(records))
        raise
    errors += ["The score is larger than Kafka's limit for a message." for o in outcomes if o is Outcome.TOO_LARGE]
    accepted, failed = outcomes.count(Outcome.STORED), outcomes.count(Outcome.FAILED)
    front.metrics.count_events(ROUTE, accepted=accepted, rejected=len(errors), failed=failed)
    if failed:  # this answer has no word for "send these again", and what is stored already does no harm
        raise unavailable("Kafka did not take all scores.")
    if not errors:
        return json_answer({"message": "Accepted"}, 202)
    found = {"accepted": accepted, "rejected": len(errors), "errors": [{"message": message} for message in errors]}
    return json_answer(found, 207)


async def _judge_all(front: FrontDoor, principal: Principal, bodies: list[bytes]) -> tuple[list[Outgoing], list[str]]:
    """(the records of good scores, the reasons for the others, each with its place in the array)."""
    common = record_headers(principal.project.id, RECEIVER, headers.LANGFUSE_JSON)
    records: list[Outgoing] = []
    errors: list[str] = []
    for number, body in enumerate(bodies):
        try:
            raw = wrap(principal.project.id, SCORE, body, number)
        except InvalidBodyError as error:
            errors.append(f"[{number}] {error}")
            continue
        judged = await front.aside.judge(principal, raw, front.settings.max_event_bytes, common)
        if isinstance(judged, EventError):
            errors.append(f"[{number}] {judged.error}")
        elif judged.record:
            records.append(judged.record)
    return records, errors
