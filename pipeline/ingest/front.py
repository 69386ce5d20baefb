"""What every route needs, made once per app and found by `front_of(request)`."""

from dataclasses import dataclass

from starlette.requests import Request

from pipeline.config import Settings
from pipeline.ingest.directory import Directory
from pipeline.ingest.limits import Held
from pipeline.ingest.metrics import Metrics
from pipeline.ingest.produce import EventProducer


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The parts of a running front door."""

    settings: Settings
    directory: Directory
    producer: EventProducer
    metrics: Metrics
    held: Held


def front_of(request: Request) -> FrontDoor:
    """The front door that serves this request."""
    front: FrontDoor = request.app.state.front
    return front
