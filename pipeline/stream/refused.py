"""Rows that ClickHouse refuses for what is in them: the events behind them become dead letters."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.events.headers import CONTENT_TYPE, PROJECT, RECEIVER
from pipeline.events.keys import record_key
from pipeline.events.model import Micros, Record
from pipeline.events.reasons import Reason
from pipeline.store.insert import Refused
from pipeline.store.rows import ObservationRow, RawEventRow, ScoreRow, TraceRow
from pipeline.stream.deadletters import DeadLetter

_ENTITY = {TraceRow: "trace_id", ObservationRow: "observation_id", ScoreRow: "score_id"}


def refused_letters(refused: Sequence[Refused], archive: Sequence[RawEventRow]) -> list[DeadLetter]:
    """Dead letters for the events of this flush behind each refused row."""
    return [
        DeadLetter(_record(event), Reason.STORE_REFUSED, refusal.message, "store")
        for refusal in refused
        for event in archive
        if _made(event, refusal.row)
    ]


def _made(event: RawEventRow, row: NamedTuple) -> bool:
    """True where the row was made from this event."""
    if isinstance(row, RawEventRow):
        return event is row
    if not isinstance(row, TraceRow | ObservationRow | ScoreRow) or event.project_id != row.project_id:
        return False
    same_trace = event.trace_id == row.trace_id or isinstance(row, ScoreRow)
    return same_trace and event.entity_id == getattr(row, _ENTITY[type(row)])


def _record(event: RawEventRow) -> Record:
    """The Kafka record an archived event came in, with the headers that decoding needs."""
    headers = (
        (CONTENT_TYPE, event.content_type.encode()),
        (PROJECT, event.project_id.encode()),
        (RECEIVER, event.receiver.encode()),
    )
    key = record_key(event.project_id, event.trace_id)
    return Record(event.topic, event.partition, event.offset, Micros(event.timestamp), key, event.value, headers)
