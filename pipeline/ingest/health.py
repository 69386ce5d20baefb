"""Whether the front door can take events, and what it has counted. Neither needs a key."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline import __version__
from pipeline.ingest.answers import json_answer
from pipeline.ingest.front import front_of
from pipeline.metrics import CONTENT_TYPE

router = APIRouter()


@router.get("/api/public/health")
@router.get("/health")
async def health(request: Request) -> Response:
    """200 where a Kafka broker answers, else 503."""
    if await front_of(request).producer.reachable():
        return json_answer({"status": "OK", "version": __version__})
    return json_answer({"status": "Kafka is not reachable", "version": __version__}, 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    return Response(front_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})
