"""From a chunk to folded traces: decode, read back what was evicted, fold, note what became of every record.

Nothing here waits for the store but the read-back of cold traces, one query per chunk. A record that cannot be decoded
becomes a dead letter and its neighbours go on.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity, trace_hash
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.events.reasons import DecodeError, Reason
from pipeline.fold.state import Seen, TraceState
from pipeline.store.rows import RawEventRow
from pipeline.stream.batch import Batch, Chunk, ChunkCount
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.partition import Partition
from pipeline.stream.persist import Cancelled
from pipeline.stream.stages import Stages

log = structlog.get_logger(__name__)

Prepare = Callable[[Iterable[Event]], Awaitable[None]]
ReadBack = Callable[[Partition, Sequence[tuple[str, str]]], Awaitable[None]]
Decoded = tuple[Record, list[Event]]


class Intake:
    """Takes chunks in. `read_back` brings traces from the archive into a partition."""

    def __init__(
        self, read_back: ReadBack, max_event_bytes: int, stages: Stages, prepare: Prepare | None = None
    ) -> None:
        self._prepare = prepare
        self._read_back = read_back
        self._max_event_bytes = max_event_bytes
        self._stages = stages

    async def take(self, batch: Callable[[], Batch], partition: Partition, chunk: Chunk) -> None:
        """Fold a whole chunk into the batch that is current after the read-back. Raises Cancelled, nothing folded."""
        count = ChunkCount()
        with self._stages.stage("decode"):
            decoded, dead = self._decode(chunk.records, count)
        if self._prepare is not None:
            await self._prepare([event for _, events in decoded for event in events])
        partition.pinned = {record.key or b"" for record, _ in decoded}
        try:
            if cold := _cold(partition, decoded):
                await self._read_back(partition, cold)
        finally:
            partition.pinned = set()
        if partition.revoked:
            raise Cancelled
        target = batch()
        target.dead.extend(dead)
        with self._stages.stage("fold"):
            for key in self._fold(target, partition, decoded, count):
                partition.touched(key)
        target.chunks.append((chunk, count))
        target.events += count.events
        target.bytes += sum(len(record.value or b"") for record in chunk.records)

    def _decode(self, records: list[Record], count: ChunkCount) -> tuple[list[Decoded], list[DeadLetter]]:
        decoded: list[Decoded] = []
        dead: list[DeadLetter] = []
        for record in records:
            try:
                decoded.append((record, decode_record(record, self._max_event_bytes)))
            except DecodeError as error:
                dead.append(DeadLetter(record, error.reason, error.detail, "decode"))
            except Exception as error:  # a decoder's own mistake must not stop the partition for ever
                log.exception("decoder_failed", topic=record.topic, partition=record.partition, offset=record.offset)
                dead.append(DeadLetter(record, Reason.DECODER_FAILED, repr(error), "decode"))
        count.rejected = len(dead)
        return decoded, dead

    def _fold(self, batch: Batch, partition: Partition, decoded: list[Decoded], count: ChunkCount) -> Iterable[bytes]:
        """Fold a chunk's events; the keys of the traces that are open now, in order of their first event."""
        touched: dict[bytes, None] = {}
        for record, events in decoded:
            key, value = record.key or b"", record.value or b""
            for position, event in enumerate(events):
                state = partition.traces.get(key)
                if state is None:
                    state = partition.create(key, event.project_id, event.trace_id, record.timestamp)
                identity = event_identity(event.event_id, value)
                size = len(value) if position == 0 else 0
                seen = state.add(event, identity, record.offset, size)
                if seen is Seen.DUPLICATE:
                    count.duplicate += 1
                    continue
                count.new += 1
                batch.dirty[key] = (partition, state)
                if event.kind is not Kind.SCORE or not partition.is_settled(key):
                    touched[key] = None  # a score alone does not open a settled trace again
                if seen is Seen.NEW:
                    partition.size += size
                    batch.archive.append(_archived(state, record, position, event, identity))
        count.events = count.new + count.duplicate
        return touched


def _cold(partition: Partition, decoded: list[Decoded]) -> list[tuple[str, str]]:
    """Traces of these events that are not in memory and perhaps in the archive."""
    cold: dict[tuple[str, str], None] = {}
    for record, events in decoded:
        if record.key not in partition.traces and events:
            name = (events[0].project_id, events[0].trace_id)
            if name not in cold and partition.perhaps_archived(*name):
                cold[name] = None
    return list(cold)


def _archived(state: TraceState, record: Record, position: int, event: Event, identity: bytes) -> RawEventRow:
    named = dict(reversed(record.headers))  # of a name that comes twice the first counts
    received = named.get(headers.RECEIVED_AT) or b""
    return RawEventRow(
        project_id=event.project_id,
        trace_id=event.trace_id,
        trace_hash=trace_hash(event.project_id, event.trace_id),
        event_id=event.event_id,
        identity=identity,
        kind=event.kind.value,
        entity_id=event.entity_id,
        content_type=(named.get(headers.CONTENT_TYPE) or b"").decode(errors="replace"),
        value=record.value or b"",
        receiver=(named.get(headers.RECEIVER) or b"kafka").decode(errors="replace"),
        received_at=int(received) if received.isdigit() and len(received) < 17 else record.timestamp,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        position=position,
        timestamp=record.timestamp,
        first_seen=state.first_seen,
    )


def to_record(raw: Any, topic: str) -> Record:
    """An aiokafka record as the stream's own; LogAppendTime in microseconds."""
    timestamp = Micros(raw.timestamp * 1000)
    return Record(topic, raw.partition, raw.offset, timestamp, raw.key, raw.value, raw.headers)
