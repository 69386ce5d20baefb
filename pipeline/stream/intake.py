"""From a chunk to folded traces: decode, read back what left memory, fold, note what became of every record.

Nothing here waits for the store but records of traces that are perhaps archived and not in memory: they go to the
partition's cold lane, which reads their traces back, many at a time, while fresh traces go on being folded. The order
between the two is of no importance (I1); a chunk counts as folded when the last of its records is. A record that
cannot be decoded becomes a dead letter and its neighbours go on.
"""

from collections.abc import Callable, Iterable
from traceback import format_tb
from typing import Any, NamedTuple

import structlog

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity, trace_hash
from pipeline.events.media import Medium, take_out
from pipeline.events.model import Event, Kind, Micros, Record, appended_at
from pipeline.events.reasons import DecodeError, Reason
from pipeline.fold.shed import missing
from pipeline.fold.state import EVENT, Seen, TraceState
from pipeline.store.rows import RawEventRow
from pipeline.stream.archive_row import archive_row
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk, ChunkCount, Span
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.moves import moved
from pipeline.stream.outcomes import Outcome
from pipeline.stream.part import Part
from pipeline.stream.partition import Partition
from pipeline.stream.retention import KeepForEver, Keeps
from pipeline.stream.spoilt import fails_alone, letter_of, tell, throw_back
from pipeline.stream.stages import Stages

log = structlog.get_logger(__name__)

Decoded = tuple[Record, list[Event]]
Until = Callable[[str, str, int], int]
_SCORE, _DUPLICATE, _NEW = Kind.SCORE, Seen.DUPLICATE, Seen.NEW
_STORED, _KNOWN = Outcome.STORED.value, Outcome.DUPLICATE.value


class Taken(NamedTuple):
    """A decoded chunk: its events by record, and what could not be decoded."""

    chunk: Span
    became: ChunkCount
    decoded: list[Decoded]
    dead: list[DeadLetter]
    media: tuple[tuple[str, Medium], ...] = ()  # (project, what was taken out of its events)
    laden: frozenset[int] = frozenset()  # offsets of the records that they were in


class Intake:
    """Takes chunks in: `decode`, then `fold` what is fresh at once and the rest when it was read back."""

    def __init__(self, max_event_bytes: int, stages: Stages, keeps: Keeps | None = None) -> None:
        self._max_event_bytes = max_event_bytes
        self._stages = stages
        self._until = (keeps or KeepForEver()).archive_until

    def decode(self, chunk: Chunk) -> Taken:
        """The chunk's events."""
        with self._stages.stage("decode"):
            decoded, dead, found = self._decode(chunk.records)
        became = ChunkCount(rejected=len(dead))
        for letter in dead:
            became.outcomes.note_rejected(letter.record)
        media = tuple((project_id, medium) for _, project_id, medium in found)
        laden = frozenset(offset for offset, _, _ in found)
        return Taken(chunk.span(), became, decoded, dead, media, laden)

    def fold(self, batch: Batch, partition: Partition, decoded: list[Decoded], count: ChunkCount) -> list[Decoded]:
        """Fold decoded records; the traces they change hold this batch's part of the partition.

        Returns those that must wait: their traces were thrown out of memory (stream/spoilt.py) and are not back yet.
        """
        with self._stages.stage("fold"):
            return _fold(batch, partition, decoded, count, self._until)

    def put_aside(self, batch: Batch, partition: Partition, decoded: list[Decoded], count: ChunkCount) -> list[Decoded]:
        """Archive the records whose traces cannot be read back, and make dead letters of them; returns the others."""
        others: list[Decoded] = []
        for each in decoded:
            record, events = each
            why = partition.barred.get(record.key or b"")
            if why is None:
                others.append(each)
                continue
            state = TraceState(events[0].project_id, events[0].trace_id, min(why.first_seen, record.timestamp))
            _put_aside(batch, state, each, count, why.error, "read_back", self._until)
        return others

    def _decode(self, records: list[Record]) -> tuple[list[Decoded], list[DeadLetter], list[tuple[int, str, Medium]]]:
        decoded: list[Decoded] = []
        dead: list[DeadLetter] = []
        found: list[tuple[int, str, Medium]] = []  # offset, project, medium
        for record in records:
            try:
                events, media = take_out(record.value or b"", decode_record(record, self._max_event_bytes))
                decoded.append((record, events))
                found += [(record.offset, events[0].project_id, medium) for medium in media]
            except DecodeError as error:
                dead.append(DeadLetter(record, error.reason, error.detail, "decode"))
            except Exception as error:  # a decoder's own mistake must not stop the partition for ever
                where = "".join(format_tb(error.__traceback__))  # without the message, which may quote the event
                place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
                log.error("decoder_failed", error=type(error).__name__, where=where, **place)
                dead.append(DeadLetter(record, Reason.DECODER_FAILED, repr(error), "decode"))
        return decoded, dead, found


def names_of(partition: Partition, decoded: Iterable[Decoded]) -> list[tuple[str, str]]:
    """(project, trace) of the records whose traces are not in memory, each once."""
    names: dict[tuple[str, str], None] = {}
    for record, events in decoded:
        if record.key not in partition.traces:
            names[events[0].project_id, events[0].trace_id] = None
    return list(names)


def contents_of(partition: Partition, decoded: Iterable[Decoded]) -> dict[bytes, set[str]]:
    """Trace -> observations whose content must come back before these records can be folded."""
    ids: dict[bytes, set[str]] = {}
    for record, events in decoded:
        key = record.key or b""
        if (state := partition.traces.get(key)) is not None and (some := missing(state, events)):
            ids.setdefault(key, set()).update(some)
    return ids


def split(partition: Partition, decoded: Iterable[Decoded]) -> tuple[list[Decoded], list[Decoded]]:
    """(fresh, cold): what can be folded now, and what needs something back from the archive first."""
    fresh: list[Decoded] = []
    cold: list[Decoded] = []
    for each in decoded:
        (cold if _is_cold(partition, each) else fresh).append(each)
    return fresh, cold


def _is_cold(partition: Partition, decoded: Decoded) -> bool:
    record, events = decoded
    state = partition.traces.get(record.key or b"")
    if state is not None:
        return bool(state.shed) and bool(missing(state, events))
    return bool(events) and partition.perhaps_archived(events[0].project_id, events[0].trace_id)


def _fold(batch: Batch, partition: Partition, decoded: list[Decoded], count: ChunkCount, until: Until) -> list[Decoded]:
    now, part, traces = partition.clock(), batch.part(partition), partition.traces
    archive = batch.archive
    touched: dict[bytes, bool] = {}  # trace -> got more than scores, in order of their first event
    waiting: list[Decoded] = []
    note = count.outcomes.note
    new = duplicate = 0
    for each in decoded:
        record, events = each
        key, value = record.key or b"", record.value or b""
        if events and partition.thrown and (thrown := partition.thrown.get(key)):
            if (mistake := fails_alone(record, events)) is None:
                waiting.append(each)
            else:  # it need not wait for a flush of its own
                _put_aside(batch, TraceState(*thrown.name, thrown.first_seen), each, count, mistake, "fold", until)
            continue
        size, before, known, archived, weighed = EVENT + len(value), new, duplicate, len(archive), 0
        try:
            for position, event in enumerate(events):
                state = traces.get(key)
                if state is None:
                    state = partition.create(key, event.project_id, event.trace_id, record.timestamp)
                weighed = state.size
                identity = event_identity(event.event_id, value)
                seen = state.add(event, identity, record.offset, size, now)
                if seen is _DUPLICATE:
                    duplicate += 1
                    if _is_replay(record):  # the store may have refused the event or a row of it: all are written again
                        state.rewrite = True
                        touched.setdefault(key, False)
                        archive.append(_archived(state, record, position, event, identity, value, until))
                        continue
                    if not moved(record):
                        continue
                    state.rewrite = True  # perhaps it was archived where it lay before, and no row was written
                else:
                    new += 1
                if event.kind is not _SCORE:
                    touched[key] = True
                elif key not in touched:
                    touched[key] = False
                if seen is _NEW:
                    archive.append(_archived(state, record, position, event, identity, value, until))
                    partition.size += size
                    size = EVENT  # the bytes are counted once
        except Exception as error:  # our own mistake: the trace is put aside, the others go on
            del archive[archived:]
            new, duplicate = before, known
            _put_aside(batch, traces[key], each, count, error, "fold", until)
            throw_back(partition, key, part, weighed)
            touched.pop(key, None)
            continue
        if events:
            note(record, events[0].project_id, _STORED if new > before else _KNOWN)
        else:
            count.outcomes.note_ignored(record)
    _touch(partition, part, touched, now)
    count.new += new
    count.duplicate += duplicate
    batch.events += new + duplicate
    return waiting


def _put_aside(
    batch: Batch, state: TraceState, each: Decoded, count: ChunkCount, error: Exception, stage: str, until: Until
) -> None:
    """A record that our own code fails on: archived as any, and a dead letter. Nothing of it is in `state` for good."""
    record, events = each
    value = record.value or b""
    tell(error, stage, (state.project_id, state.trace_id), record)
    batch.dead.append(letter_of(record, error, stage))
    for position, event in enumerate(events):
        identity = event_identity(event.event_id, value)
        batch.archive.append(_archived(state, record, position, event, identity, value, until))
    count.outcomes.note(record, state.project_id, _STORED)
    count.new += len(events)
    batch.events += len(events)


def _touch(partition: Partition, part: Part, touched: dict[bytes, bool], now: Micros) -> None:
    for key, opens in touched.items():
        partition.changed(key, partition.traces[key], part, now)
        if opens or not partition.is_settled(key):
            partition.touched(key, now)  # a score alone does not open a settled trace again


def _archived(
    state: TraceState, record: Record, position: int, event: Event, identity: bytes, value: bytes, until: Until
) -> RawEventRow:
    if not state.hash:
        state.hash = trace_hash(event.project_id, event.trace_id)
    expires_at = until(event.project_id, event.trace_id, record.timestamp)
    return archive_row(record, value, position, event, identity, state.hash, state.first_seen, expires_at)


def _is_replay(record: Record) -> bool:
    """True for a dead letter that was sent again."""
    return any(name == headers.ATTEMPT for name, _ in record.headers)


def to_record(raw: Any, topic: str) -> Record:
    """An aiokafka record as the stream's own; LogAppendTime in microseconds."""
    timestamp = appended_at(raw.timestamp)
    return Record(topic, raw.partition, raw.offset, timestamp, raw.key, raw.value, raw.headers)
