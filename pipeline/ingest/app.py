"""The front door as an ASGI app. Routes live in files of their own; every error is answered in JSON."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from pipeline import __version__
from pipeline.blobs import MediaStore, open_blobs
from pipeline.config import Settings
from pipeline.ingest import deletions, health, ingestion, media, otlp, projects, scores, single
from pipeline.ingest.answers import (
    ApiError,
    EnvelopeError,
    InvalidBodyError,
    error_answer,
    invalid_answer,
    json_answer,
)
from pipeline.ingest.aside import Aside
from pipeline.ingest.directory import Directory
from pipeline.ingest.fairness import Fairness
from pipeline.ingest.front import FindScore, FrontDoor
from pipeline.ingest.lag import LagWatch
from pipeline.ingest.limits import Held
from pipeline.ingest.media_urls import signing_key
from pipeline.ingest.metrics import FrontMetrics
from pipeline.ingest.observe import Observe
from pipeline.ingest.openapi import describe
from pipeline.ingest.otlp_grpc import OFF, GrpcDoor
from pipeline.ingest.produce import EventProducer
from pipeline.ingest.rates import Limiter
from pipeline.ingest.waiting import Waiting
from pipeline.metrics.heartbeat import Heartbeat
from pipeline.registry import Registry

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROUTERS = (
    ingestion.router,
    single.router,
    scores.router,
    deletions.router,
    media.router,
    otlp.router,
    projects.router,
    health.router,
)


def create_app(
    settings: Settings, registry: Registry, find_score: FindScore | None = None, *, warm: bool = False
) -> FastAPI:
    """The app. Its lifespan connects to Kafka and flushes at the end; closing the registry is the caller's.

    `find_score` says what a score belongs to, which deleting one needs: only the store knows, and this room must not.
    `warm`: have the process for large events start in the background, so that the first of them need not wait for it.
    """
    metrics = FrontMetrics()
    lifespan = partial(_living, settings, registry, metrics, find_score, warm)
    app = FastAPI(title="Spanfold", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # FastAPI's way to give a document of one's own
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=METHODS, allow_headers=["*"])
    app.add_middleware(Observe, metrics=metrics)
    for kind, answer in ERRORS.items():
        app.add_exception_handler(kind, answer)
    return app


@asynccontextmanager
async def _living(
    settings: Settings,
    registry: Registry,
    metrics: FrontMetrics,
    find_score: FindScore | None,
    warm: bool,
    app: FastAPI,
) -> AsyncIterator[None]:
    """What runs for as long as the app does, built and started in this order, stopped in the other."""
    directory, producer = Directory(registry), EventProducer(settings)
    aside, heart = Aside(), Heartbeat(settings.stuck_after, metrics)
    lag = LagWatch(settings, metrics, producer.partitions, producer.overflow_partitions)
    app.state.front = FrontDoor(
        settings,
        directory,
        producer,
        metrics,
        held=Held(settings.held_bytes, metrics),
        waiting=Waiting(settings.crowd_wait),
        limiter=Limiter(settings),
        fairness=Fairness(settings),
        lag=lag,
        aside=aside,
        media=MediaStore(open_blobs(settings.blobs)),
        media_key=signing_key(settings),
        find_score=find_score,
        heart=heart,
    )
    producer.start()
    lag.start()
    tasks = [asyncio.create_task(heart.run(), name="heartbeat")]
    if warm:
        tasks.append(asyncio.create_task(aside.warm_up(), name="aside"))
    grpc_door = GrpcDoor(app.state.front)
    try:
        if settings.grpc_port != OFF:
            await grpc_door.start()
        with heart.listening():
            yield
    finally:
        for task in tasks:
            task.cancel()
        await grpc_door.stop()
        await lag.stop()
        await producer.stop()
        aside.close()
        directory.close()


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  # tells the type checker what Starlette guarantees
    return error_answer(error)


async def _envelope_error(_request: Request, error: Exception) -> Response:
    return json_answer({"message": "Invalid request data", "errors": [str(error)]}, 400)


async def _invalid_body(_request: Request, error: Exception) -> Response:
    return invalid_answer([str(error)])


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: unknown paths and wrong methods."""
    assert isinstance(error, HTTPException)  # noqa: S101  # tells the type checker what Starlette guarantees
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return error_answer(ApiError(404, "LangfuseNotFoundError", f"There is nothing at {request.url.path}."))
    if error.status_code == 405:
        return error_answer(ApiError(405, "MethodNotAllowedError", "Method not allowed", headers=headers))
    return error_answer(ApiError(error.status_code, "HttpError", str(error.detail), headers=headers))


async def _bug(_request: Request, _error: Exception) -> Response:
    """The traceback goes to the log, by Starlette; the client learns only that it was not its fault."""
    return error_answer(ApiError(500, "InternalServerError", "Internal Server Error"))


ERRORS = {
    ApiError: _api_error,
    EnvelopeError: _envelope_error,
    InvalidBodyError: _invalid_body,
    HTTPException: _http_error,
    Exception: _bug,
}
