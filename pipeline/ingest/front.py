"""What every route needs, made once per app and found by `front_of(request)`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from pipeline.blobs import MediaStore
from pipeline.config import Settings
from pipeline.ingest.aside import Aside
from pipeline.ingest.directory import Directory
from pipeline.ingest.fairness import Fairness
from pipeline.ingest.lag import LagWatch
from pipeline.ingest.limits import Held
from pipeline.ingest.metrics import FrontMetrics
from pipeline.ingest.produce import EventProducer
from pipeline.ingest.rates import Limiter
from pipeline.ingest.waiting import Waiting
from pipeline.metrics.heartbeat import Heartbeat

FindScore = Callable[[str, str], Awaitable[list[str]]]
"""(project id, score id) -> what its scores are grouped by (trace, session:ID or run:ID). Raises SpanfoldError."""


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The parts of a running front door."""

    settings: Settings
    directory: Directory
    producer: EventProducer
    metrics: FrontMetrics
    held: Held
    waiting: Waiting
    limiter: Limiter
    fairness: Fairness
    lag: LagWatch
    aside: Aside
    media: MediaStore
    media_key: bytes  # signs the URLs of media
    find_score: FindScore | None  # None: this front door was given no store to ask
    heart: Heartbeat


def front_of(request: Request) -> FrontDoor:
    """The front door that serves this request."""
    front: FrontDoor = request.app.state.front
    return front
