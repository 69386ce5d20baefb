"""Rows that ClickHouse refuses for what is in them: the events behind them become dead letters.

Rule: a row is made from the events of its entity; they are what is asked for, never the whole trace, which may be
giant. A row without an event of its own (a trace known from its spans alone) is told by the trace's first event: when
that is replayed, all rows of the trace are written again. A record is one letter, however many rows it is behind.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.events.headers import CONTENT_TYPE, PROJECT, RECEIVER
from pipeline.events.keys import record_key
from pipeline.events.model import Kind, Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.insert import Refused
from pipeline.store.lookups import Entity, RawEvent
from pipeline.store.rows import ObservationRow, RawEventRow, ScoreRow, TraceRow
from pipeline.stream.deadletters import DeadLetter


def entities_of(refused: Sequence[Refused]) -> list[Entity]:
    """The entities of the refused rows that were made from archived events, each once."""
    return list(dict.fromkeys(entity for each in refused if (entity := _entity(each.row)) is not None))


def refused_letters(refused: Sequence[Refused], archived: Sequence[RawEvent]) -> list[DeadLetter]:
    """Dead letters for each refused event, and for the archived events behind each other refused row."""
    of_entity: dict[Entity, list[RawEvent]] = {}
    of_trace: dict[tuple[str, str], list[RawEvent]] = {}
    for event in archived:
        of_entity.setdefault(Entity(event.project_id, event.trace_id, event.kind, event.entity_id), []).append(event)
        of_trace.setdefault((event.project_id, event.trace_id), [event])
    letters: dict[tuple[str, int, int], DeadLetter] = {}
    for refusal in refused:
        row, entity = refusal.row, _entity(refusal.row)
        events: Sequence[RawEventRow | RawEvent] = [row] if isinstance(row, RawEventRow) else []
        if entity is not None:
            events = of_entity.get(entity) or of_trace.get(entity[:2], [])
        for behind in events:
            letter = DeadLetter(archived_record(behind), Reason.STORE_REFUSED, refusal.message, "store")
            letters.setdefault((behind.topic, behind.partition, behind.offset), letter)
    return list(letters.values())


def _entity(row: NamedTuple) -> Entity | None:
    if isinstance(row, TraceRow):
        return Entity(row.project_id, row.trace_id, Kind.TRACE.value, row.trace_id)
    if isinstance(row, ObservationRow):
        return Entity(row.project_id, row.trace_id, Kind.OBSERVATION.value, row.observation_id)
    if isinstance(row, ScoreRow):
        return Entity(row.project_id, row.score_group or row.trace_id, Kind.SCORE.value, row.score_id)
    return None


def archived_record(event: RawEventRow | RawEvent) -> Record:
    """The Kafka record an archived event came in, with the headers that decoding needs."""
    headers = (
        (CONTENT_TYPE, event.content_type.encode()),
        (PROJECT, event.project_id.encode()),
        (RECEIVER, event.receiver.encode()),
    )
    key = record_key(event.project_id, event.trace_id)
    return Record(event.topic, event.partition, event.offset, Micros(event.timestamp), key, event.value, headers)
