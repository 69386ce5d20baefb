"""Traces whose archive expired: their stored rows stand for the events that are gone.

Each stored row is folded like an event that said all that the row says, older than any other; what comes later is laid
over it. What a row no longer tells is lost: which event gave a field, nested metadata below its top level, and whether
the trace's attributes came from the trace or from an observation. The trace is flagged `archive_expired`.
"""

from collections.abc import Iterable
from typing import Any, cast

from pipeline.events.flags import Flag
from pipeline.events.model import Event, Fields, Kind
from pipeline.fold.layers import Layer
from pipeline.fold.state import TraceState
from pipeline.store.lookups import StoredRow

_TRACE = (
    "name", "user_id", "session_id", "environment", "release", "version", "tags", "public", "metadata", "input",
    "output", "start_time",
)  # fmt: skip
_OBSERVATION = (
    "name", "environment", "version", "metadata", "input", "output", "parent_observation_id", "type", "start_time",
    "end_time", "completion_start_time", "level", "status_message", "model", "model_parameters", "prompt_name",
    "prompt_version", "tool_calls",
)  # fmt: skip
_SCORE = (
    "name", "environment", "metadata", "session_id", "observation_id", "dataset_run_id", "data_type", "value",
    "string_value", "comment", "source", "evaluator",
)  # fmt: skip
_COLUMNS = {Kind.TRACE: _TRACE, Kind.OBSERVATION: _OBSERVATION, Kind.SCORE: _SCORE}


def stand_in(state: TraceState, rows: Iterable[StoredRow]) -> None:
    """Fold the stored rows of the trace in, in place of events that nobody has any more."""
    state.expired = True
    for row in rows:
        kind = Kind(row.kind)
        fields = _fields(kind, row.columns)
        state.fold(Event(state.project_id, state.trace_id, kind, row.entity_id, "", row.at, fields), b"")


def layer_of(row: StoredRow) -> Layer:
    """What a stored row says, older than any event of its time."""
    return (row.at, "", b""), _fields(Kind(row.kind), row.columns)


def _fields(kind: Kind, columns: dict[str, Any]) -> Fields:
    """The opinions of a row: an empty value is none."""
    fields = {name: columns[name] for name in _COLUMNS[kind] if columns[name] not in ("", None, [], {})}
    if kind is Kind.OBSERVATION:
        if Flag.PROVISIONAL_START in columns["flags"]:
            del fields["start_time"]
        if columns["usage_provided"]:
            fields["usage"] = columns["usage_provided"]
        if columns["cost_source"] == "provided":
            fields["cost"] = columns["cost"]
    return cast(Fields, fields)
