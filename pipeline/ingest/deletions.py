"""`DELETE` of traces and scores: a tombstone goes down the same stream as everything else.

A tombstone is an event that hides what was said of its entity up to its time; it is archived and replayed like any
other, so a deletion survives every refold. Traces need not exist: `200 {"message"}`, as Langfuse answers. A score's
tombstone travels with the score's trace, which only the store knows: 404 for a score that no row shows (yet).
Failure: 400 for an id or a body that cannot be, 401 for a public key alone, 413, 429, 503.
"""

from time import time_ns

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.errors import SpanfoldError
from pipeline.events import headers, keys
from pipeline.events.canonical import to_canonical_json
from pipeline.events.model import Event, Kind, Micros
from pipeline.ingest.accept import accept, record, record_headers
from pipeline.ingest.admit import admit_fully, json_body
from pipeline.ingest.answers import ApiError, InvalidBodyError, json_answer, too_many, unavailable
from pipeline.ingest.auth import Principal
from pipeline.ingest.front import FrontDoor, front_of
from pipeline.ingest.kafka_link import Outcome

RECEIVER = b"delete"
MAX_TRACES = 1_000  # of one request
router = APIRouter()


class _Traces(msgspec.Struct, rename="camel"):
    trace_ids: list[str]


_DECODER = msgspec.json.Decoder(_Traces)


@router.delete("/api/public/traces/{trace_id:path}")
async def delete_trace(request: Request, trace_id: str) -> Response:
    """Hide one trace."""
    principal = await admit_fully(request)
    await _bury(request, principal, [_trace_tombstone(principal, trace_id)])
    return json_answer({"message": "Trace deleted successfully"})


@router.delete("/api/public/traces")
async def delete_traces(request: Request) -> Response:
    """Hide many: `{"traceIds": […]}`."""
    principal = await admit_fully(request)
    async with json_body(request, principal) as body:
        trace_ids = _trace_ids(body)
    await _bury(request, principal, [_trace_tombstone(principal, trace_id) for trace_id in trace_ids])
    return json_answer({"message": "Traces deleted successfully"})


@router.delete("/api/public/scores/{score_id:path}")
async def delete_score(request: Request, score_id: str) -> Response:
    """Hide one score."""
    principal = await admit_fully(request)
    groups = await _groups_of(front_of(request), principal.project.id, _checked(score_id))
    if not groups:
        raise ApiError(404, "LangfuseNotFoundError", f"There is no score with the id {score_id!r}.")
    await _bury(request, principal, [_tombstone(principal, Kind.SCORE, group, score_id) for group in groups])
    return json_answer({"message": "Score deletion accepted"}, 202)


def _trace_ids(body: bytes) -> list[str]:
    try:
        trace_ids = list(dict.fromkeys(_DECODER.decode(body).trace_ids))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBodyError(str(error)) from None
    if not trace_ids:
        raise InvalidBodyError("traceIds: at least one")
    if len(trace_ids) > MAX_TRACES:
        raise too_many("traces", MAX_TRACES)
    return trace_ids


async def _groups_of(front: FrontDoor, project_id: str, score_id: str) -> list[str]:
    if front.find_score is None:
        raise unavailable("Scores cannot be looked up: this front door knows no store.")
    try:
        return await front.find_score(project_id, score_id)
    except SpanfoldError as error:
        raise unavailable("Scores cannot be looked up at the moment.") from error


def _checked(given: str) -> str:
    try:
        given.encode()
        return keys.check_id(given)
    except ValueError as error:
        raise InvalidBodyError(f"id: {error}") from None


def _trace_tombstone(principal: Principal, trace_id: str) -> Event:
    if not keys.is_trace(_checked(trace_id)):
        raise InvalidBodyError("id: session: and run: begin the groups of scores without a trace")
    return _tombstone(principal, Kind.TRACE, trace_id, trace_id)


def _tombstone(principal: Principal, kind: Kind, trace_id: str, entity_id: str) -> Event:
    at = Micros(time_ns() // 1000)
    event_id = keys.derived_id("delete", principal.project.id, kind, trace_id, entity_id, str(at))
    return Event(principal.project.id, trace_id, kind, entity_id, event_id, at, {"deleted": True})


async def _bury(request: Request, principal: Principal, tombstones: list[Event]) -> None:
    """Put them into the stream. Raises ApiError (503) where Kafka did not take all; asking again does no harm."""
    front, route = front_of(request), request.scope["route"].path
    common = record_headers(principal.project.id, RECEIVER, headers.CANONICAL_JSON)
    records = [record(event.project_id, event.trace_id, to_canonical_json(event), common) for event in tombstones]
    try:
        outcomes = await accept(front, records)
    except ApiError:
        front.metrics.count_events(route, accepted=0, rejected=0, failed=len(records))
        raise
    stored = outcomes.count(Outcome.STORED)
    front.metrics.count_events(route, accepted=stored, rejected=0, failed=len(records) - stored)
    if stored < len(records):
        raise unavailable("Kafka did not take all deletions.")
