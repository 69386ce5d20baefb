"""One OTLP export, by whatever transport it came: cut into spans, judged span by span, produced.

Rule: a broken span is counted and named in the answer, its neighbours are stored. An export of which no span is good is
refused as a whole. Where Kafka did not acknowledge every span the whole export fails as retryable: what was stored
comes again as duplicates, which change nothing.
A large export is cut and judged in a thread, so that the event loop goes on.
Failure: ApiError, 400 for what is no export, 413 where spans and their resources are too much, 503 without Kafka.
"""

import asyncio
from collections import Counter
from typing import NamedTuple

from pipeline.events.otlp.records import SPLIT
from pipeline.events.reasons import DecodeError
from pipeline.ingest.accept import accept, record, record_headers
from pipeline.ingest.answers import ApiError, unavailable
from pipeline.ingest.front import FrontDoor
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.lanes import Outgoing

RECEIVER = b"otlp"
_INLINE = 64 * 1024  # bytes that are judged on the event loop, in about a millisecond
_REASONS_SHOWN = 5
_SPREAD = 8  # times the largest export: each span's record repeats resource and scope, which may be large


class Limits(NamedTuple):
    """Bytes: of the record of one span, and of all records of an export."""

    span: int
    records: int


class Taken(NamedTuple):
    """What became of an export; `message` is empty where all is stored."""

    stored: int
    rejected: int
    message: str


class Judged(NamedTuple):
    """The spans of an export: records for the good ones, reasons with their numbers for the others."""

    records: list[Outgoing]
    reasons: Counter[str]


async def take_export(front: FrontDoor, project_id: str, content_type: bytes, body: bytes, route: str) -> Taken:
    """Store the spans of `body`, which is in the encoding of a record's content type. Raises ApiError."""
    limits = Limits(front.settings.max_event_bytes, _SPREAD * front.settings.max_export_bytes)
    if len(body) > _INLINE:
        judged = await asyncio.to_thread(judge, project_id, content_type, body, limits)
    else:
        judged = judge(project_id, content_type, body, limits)
    records, reasons = judged
    rejected = reasons.total()
    if rejected and not records:
        front.metrics.count_events(route, accepted=0, rejected=rejected, failed=0)
        raise ApiError(400, "InvalidRequestError", f"No span of the export can be stored: {_said(reasons)}.")
    try:
        outcomes = await _produce(front, records, len(body))
    except ApiError:
        front.metrics.count_events(route, accepted=0, rejected=rejected, failed=len(records))
        raise
    stored = outcomes.count(Outcome.STORED)
    if too_large := len(outcomes) - stored:
        reasons["the span is larger than Kafka's limit for a message"] += too_large
    front.metrics.count_events(route, accepted=stored, rejected=rejected + too_large, failed=0)
    return Taken(stored, rejected + too_large, _said(reasons))


async def _produce(front: FrontDoor, records: list[Outgoing], counted: int) -> list[Outcome]:
    """Send all; what the records hold beyond the body, which is `counted`, is held until Kafka has answered."""
    more = max(0, sum(len(record.value) for record in records) - counted)
    front.held.take(more)
    try:
        outcomes = await accept(front, records)
    finally:
        front.held.give_back(more)
    if Outcome.FAILED in outcomes:
        raise unavailable("Kafka did not take all spans in time.")
    return outcomes


def judge(project_id: str, content_type: bytes, body: bytes, limits: Limits) -> Judged:
    """Cut and check. Raises ApiError: 400 where the body is no export at all, 413 where its records are too much."""
    try:
        pieces = SPLIT[content_type](body)
    except DecodeError as error:
        raise ApiError(400, "InvalidRequestError", f"{error.detail}.") from None
    common = record_headers(project_id, RECEIVER, content_type)
    judged = Judged([], Counter())
    size = 0
    for piece in pieces:
        value = piece.record()
        size += len(value)
        if size > limits.records:
            raise _spread(limits.records)
        if len(value) > limits.span:
            judged.reasons[f"the span is larger than {limits.span} bytes"] += 1
            continue
        try:
            span = piece.read()
        except DecodeError as error:
            judged.reasons[error.detail] += 1
            continue
        judged.records.append(record(project_id, span.trace_id, value, common))
    return judged


def _spread(limit: int) -> ApiError:
    return ApiError(
        413,
        "PayloadTooLargeError",
        f"The spans, each with its resource and scope, have more than {limit} bytes.",
        remedy="Send fewer spans at once, or fewer attributes of the resource.",
    )


def _said(reasons: Counter[str]) -> str:
    """The most frequent reasons, each with its number of spans."""
    shown = [f"{count} x {reason}" for reason, count in reasons.most_common(_REASONS_SHOWN)]
    more = reasons.total() - sum(count for _, count in reasons.most_common(_REASONS_SHOWN))
    return "; ".join([*shown, f"{more} x other reasons"] if more else shown)
