"""Whether the front door can take events, and what it has counted. Neither needs a key."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline import __version__
from pipeline.ingest.answers import json_answer
from pipeline.ingest.front import front_of
from pipeline.metrics import CONTENT_TYPE
from pipeline.metrics.health import LIVE, READY, Health
from pipeline.metrics.server import Answer

router = APIRouter()


@router.get("/api/public/health")
@router.get("/health")
async def health(request: Request) -> Response:
    """200 where a Kafka broker answers, else 503."""
    if await front_of(request).producer.reachable():
        return json_answer({"status": "OK", "version": __version__})
    return json_answer({"status": "Kafka is not reachable", "version": __version__}, 503)


@router.get(LIVE)
async def live(request: Request) -> Response:
    """200 as long as the event loop turns. While it does not, nobody is there to say 503: the probe's time runs out."""
    return _answer(Health([front_of(request).heart.complaint], []).live())


@router.get(READY)
async def ready(request: Request) -> Response:
    """200 where events are accepted: a Kafka broker answers, and the workers are not too far behind."""
    front = front_of(request)
    kafka = "" if await front.producer.reachable() else "Kafka is not reachable."
    checks = [lambda: kafka, front.lag.complaint]
    return _answer(Health([front.heart.complaint], checks, [front.lag.overflow_complaint]).ready())


def _answer(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.content_type)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    return Response(front_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})
