"""From what became of a chunk to its row in the ledger."""

from pipeline.store.retention import DEFAULT_DAYS, RANGES_STAY, Kind, expiry
from pipeline.store.rows import OffsetRangeRow
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.outcomes import MINUTE

BY_ITSELF = "kafka"  # no header tells of a route: a program that produces itself


def range_row(chunk: Span, count: ChunkCount, now: int, days: int = DEFAULT_DAYS[Kind.LEDGER]) -> OffsetRangeRow:
    """The chunk's entry in the ledger, which tells of so many `days`; `now` in microseconds."""
    groups = list(count.outcomes.items())
    places = {offset: number for number, (_, offsets) in enumerate(groups) for offset in offsets}
    in_order = sorted(places)
    dense = len(places) == chunk.last - chunk.first + 1  # no marks of transactions, nothing that compaction took
    return OffsetRangeRow(
        topic=chunk.tp.topic,
        partition=chunk.tp.partition,
        first=chunk.first,
        last=chunk.last,
        records=chunk.records,
        events=count.events,
        new=count.new,
        duplicate=count.duplicate,
        rejected=count.rejected,
        stored_at=now,
        expires_at=expiry(now, days + RANGES_STAY),
        projects=[group[0] for group, _ in groups],
        receivers=[group[1].decode(errors="replace") or BY_ITSELF for group, _ in groups],
        minutes=[group[2] * MINUTE for group, _ in groups],
        outcomes=[group[3] for group, _ in groups],
        amounts=[len(offsets) for _, offsets in groups],
        places=[places[offset] for offset in in_order] if len(groups) > 1 else [],
        offsets=[] if dense else in_order,
    )
