"""Recorded traffic of a real client, made new: other ids, the present time, and nothing else changed.

Rule: an id of a copy is a function of the copy's number and the recorded id, so that all that belonged together still
does, and the same copy made twice is the same bytes (I7). All times move by the same amount; the latest becomes `now`.
The recordings are in pipeline/demo/recordings, with a README.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.demo.sent import Entities

FOLDER = Path(__file__).parent / "recordings" / "langfuse-python-2.60.10"
ID_FIELDS = ("id", "traceId", "observationId", "parentObservationId")
TIME_FIELDS = ("timestamp", "startTime", "endTime", "completionStartTime")
_NAMESPACE = uuid.UUID("5f3f8c0e-7f0b-4b0e-9d5e-0d1f5a7c1e55")  # any constant: it keeps our ids apart from others'

Json = dict[str, Any]


def recorded_batches() -> list[Json]:
    """The recorded bodies, in the order in which the client sent them."""
    return [json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]


def copy_of(batches: Sequence[Json], number: int, now: datetime) -> list[Json]:
    """The batches with ids of copy `number` and times that end at `now` (with a time zone)."""
    ago = now - max(_times(batches))
    return [{**batch, "batch": [_renewed(event, number, ago) for event in batch["batch"]]} for batch in batches]


def entities_of(batches: Iterable[Json]) -> Entities:
    """What the views must show once these batches are in."""
    found = Entities()
    for event in (event for batch in batches for event in batch["batch"]):
        body = event["body"]
        if event["type"] == "trace-create":
            found.traces.add(body["id"])
            continue
        found.traces.add(body["traceId"])
        (found.scores if event["type"] == "score-create" else found.observations).add(body["id"])
    return found


def _renewed(event: Json, number: int, ago: timedelta) -> Json:
    return {**_changed(event, number, ago), "body": _changed(event["body"], number, ago)}


def _changed(part: Json, number: int, ago: timedelta) -> Json:
    """Ids and times stand at the top of an envelope and of its body, and nowhere else."""
    ids = {name: _new_id(part[name], number) for name in ID_FIELDS if part.get(name)}
    times = {name: _moved(part[name], ago) for name in TIME_FIELDS if part.get(name)}
    return {**part, **ids, **times}


def _new_id(recorded: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{number}/{recorded}"))


def _moved(time: str, ago: timedelta) -> str:
    return (datetime.fromisoformat(time) + ago).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _times(batches: Iterable[Json]) -> Iterator[datetime]:
    for event in (event for batch in batches for event in batch["batch"]):
        for part in (event, event["body"]):
            yield from (datetime.fromisoformat(part[name]) for name in TIME_FIELDS if part.get(name))
