"""`POST /api/public/ingestion`: batches of Langfuse's JSON events, from SDKs of version 2 and scores of 3 and 4.

The answer waits until Kafka has acknowledged every event. 207 tells for each event whether it is stored; 400, 401, 408,
413, 415, 429 and 503 concern the whole request, of which then nothing is claimed to be stored.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.ingest import answers
from pipeline.ingest.accept import accept
from pipeline.ingest.admit import admit, json_body
from pipeline.ingest.envelope import split_batch
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.screen import Screened, screen

ROUTE = "/api/public/ingestion"
router = APIRouter()


@router.post(ROUTE)
async def ingest(request: Request) -> Response:
    """Authenticate, read, split, judge, produce, answer."""
    front = front_of(request)
    principal = await admit(request)
    async with json_body(request, principal) as body:
        events = await split_batch(body)
        if len(events) > front.settings.max_batch_events:
            raise answers.too_many("events", front.settings.max_batch_events)
        screened = await screen(principal, events, front.settings.max_event_bytes, front.aside)
        try:
            outcomes = await accept(front, screened.records)
        except answers.ApiError:
            _count(front, 0, len(screened.errors), len(screened.records))
            raise
    return _answer(front, screened, outcomes)


def _answer(front: FrontDoor, screened: Screened, outcomes: list[Outcome]) -> Response:
    stored, rejected, failed = screened.without_record, screened.errors, []
    for event_id, outcome in zip(screened.ids, outcomes, strict=True):
        if outcome is Outcome.STORED:
            stored.append(event_id)
        elif outcome is Outcome.TOO_LARGE:
            rejected.append(answers.oversized_event(event_id, "The event is larger than Kafka's limit for a message."))
        else:
            failed.append(answers.failed_event(event_id))
    _count(front, len(stored), len(rejected), len(failed))
    return answers.batch_answer(stored, rejected + failed)


def _count(front: FrontDoor, accepted: int, rejected: int, failed: int) -> None:
    front.metrics.count_events(ROUTE, accepted=accepted, rejected=rejected, failed=failed)
