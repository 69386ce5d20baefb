"""Judge each event of a Langfuse batch on its own: a record for what is good, one reason for what is not.

Rule: the order of checks is size, form, access. A broken event never concerns its neighbours. The loop is given to
other requests after every 256 KB, because a batch of 4.5 MB takes some 50 ms to validate.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.events import headers
from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.reasons import DecodeError
from pipeline.ingest import answers
from pipeline.ingest.accept import record, record_headers
from pipeline.ingest.auth import Principal
from pipeline.ingest.lanes import Headers, Outgoing
from pipeline.ingest.tolerant import readable_id

RECEIVER = b"ingestion"
_SCORES_ONLY = frozenset({"score-create", "sdk-log"})
_SLICE_BYTES = 256 * 1024


@dataclass(slots=True)
class Screened:
    """What a batch consists of: ids with their records, ids that need none (`sdk-log`), and refusals."""

    ids: list[str] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)
    without_record: list[str] = field(default_factory=list)
    errors: list[answers.EventError] = field(default_factory=list)


async def screen(principal: Principal, events: Sequence[bytes], max_event_bytes: int) -> Screened:
    """Validate all events; `events` are their original bytes."""
    screened = Screened()
    common = record_headers(principal.project.id, RECEIVER, headers.LANGFUSE_JSON)
    since_pause = 0
    for raw in events:
        _screen_one(principal, raw, max_event_bytes, common, screened)
        since_pause += len(raw)
        if since_pause > _SLICE_BYTES:
            since_pause = 0
            await asyncio.sleep(0)
    return screened


def _screen_one(principal: Principal, raw: bytes, limit: int, common: Headers, into: Screened) -> None:
    if len(raw) > limit:
        detail = f"The event has {len(raw)} bytes, more than {limit}."
        into.errors.append(answers.oversized_event(readable_id(raw), detail))
        return
    try:
        envelope = parse_langfuse(raw)
    except DecodeError as error:
        into.errors.append(answers.invalid_event(readable_id(raw), error.detail))
        return
    event_id = envelope["id"]
    if principal.access == "scores" and envelope["type"] not in _SCORES_ONLY:
        into.errors.append(answers.forbidden_event(event_id))
        return
    events = langfuse_events(principal.project.id, envelope)
    if not events:
        into.without_record.append(event_id)
        return
    into.ids.append(event_id)
    into.records.append(record(principal.project.id, events[0].trace_id, raw, common))
