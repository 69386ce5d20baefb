"""Rows that ClickHouse refuses for what is in them: the events behind them become dead letters."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.events.headers import CONTENT_TYPE, PROJECT, RECEIVER
from pipeline.events.keys import record_key, run_group, session_group
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.insert import Refused
from pipeline.store.lookups import RawEvent, TraceKey
from pipeline.store.rows import ObservationRow, RawEventRow, ScoreRow, TraceRow
from pipeline.stream.deadletters import DeadLetter

_ENTITY = {TraceRow: "trace_id", ObservationRow: "observation_id", ScoreRow: "score_id"}


def traces_of(refused: Sequence[Refused]) -> list[TraceKey]:
    """(project, trace) of the refused rows that were made from archived events."""
    names: dict[TraceKey, None] = {}
    for refusal in refused:
        row = refusal.row
        if isinstance(row, ScoreRow) and not row.trace_id:
            group = session_group(row.session_id) if row.session_id else run_group(row.dataset_run_id)
            names[row.project_id, group] = None
        elif isinstance(row, TraceRow | ObservationRow | ScoreRow):
            names[row.project_id, row.trace_id] = None
    return list(names)


def refused_letters(refused: Sequence[Refused], archived: Sequence[RawEvent]) -> list[DeadLetter]:
    """Dead letters for each refused event, and for the archived events behind each other refused row."""
    letters = []
    for refusal in refused:
        row = refusal.row
        events = [row] if isinstance(row, RawEventRow) else [event for event in archived if _made(event, row)]
        letters += [DeadLetter(_record(event), Reason.STORE_REFUSED, refusal.message, "store") for event in events]
    return letters


def _made(event: RawEvent, row: NamedTuple) -> bool:
    """True where the row was made from this event."""
    if not isinstance(row, TraceRow | ObservationRow | ScoreRow) or event.project_id != row.project_id:
        return False
    same_trace = event.trace_id == row.trace_id or isinstance(row, ScoreRow)
    return same_trace and event.entity_id == getattr(row, _ENTITY[type(row)])


def _record(event: RawEventRow | RawEvent) -> Record:
    """The Kafka record an archived event came in, with the headers that decoding needs."""
    headers = (
        (CONTENT_TYPE, event.content_type.encode()),
        (PROJECT, event.project_id.encode()),
        (RECEIVER, event.receiver.encode()),
    )
    key = record_key(event.project_id, event.trace_id)
    return Record(event.topic, event.partition, event.offset, Micros(event.timestamp), key, event.value, headers)
