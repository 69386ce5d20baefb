"""Judge each event of a Langfuse batch on its own: a record for what is good, one reason for what is not.

Rule: a broken event never concerns its neighbours. The loop is given to other requests after every 256 KB, because a
batch of 4.5 MB takes some 50 ms to validate; single events larger than that are read beside the loop (aside.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.events import headers
from pipeline.ingest import answers
from pipeline.ingest.accept import record_headers
from pipeline.ingest.aside import Aside
from pipeline.ingest.auth import Principal
from pipeline.ingest.lanes import Outgoing

RECEIVER = b"ingestion"
_SLICE_BYTES = 256 * 1024


@dataclass(slots=True)
class Screened:
    """What a batch consists of: ids with their records, ids that need none (`sdk-log`), and refusals."""

    ids: list[str] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)
    without_record: list[str] = field(default_factory=list)
    errors: list[answers.EventError] = field(default_factory=list)


async def screen(principal: Principal, events: Sequence[bytes], max_event_bytes: int, aside: Aside) -> Screened:
    """Validate all events; `events` are their original bytes."""
    screened = Screened()
    common = record_headers(principal.project.id, RECEIVER, headers.LANGFUSE_JSON)
    since_pause = 0
    for raw in events:
        judged = await aside.judge(principal, raw, max_event_bytes, common)
        if isinstance(judged, answers.EventError):
            screened.errors.append(judged)
        elif judged.record is None:
            screened.without_record.append(judged.event_id)
        else:
            screened.ids.append(judged.event_id)
            screened.records.append(judged.record)
        since_pause += len(raw)
        if since_pause > _SLICE_BYTES:
            since_pause = 0
            await asyncio.sleep(0)
    return screened
