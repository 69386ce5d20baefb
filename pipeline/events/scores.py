"""What makes a score: one subject, one value, and a type that the value may tell.

Rule: a score is about a trace (and maybe one observation of it), a session or a dataset run, never two of them.
NUMERIC and BOOLEAN scores carry a number, the other types a string; BOOLEAN is 0 or 1 and spelled out beside it.
Failure: ValueError, its message begins with the field's name.
"""

import math
from typing import Any

from pipeline.events import keys
from pipeline.events.model import DataType


def subject_group(
    trace_id: str | None, session_id: str | None, dataset_run_id: str | None, observation_id: str | None
) -> str:
    """What the fold groups the score by: its trace's id, `session:ID` or `run:ID`. Raises ValueError."""
    if sum(map(bool, (trace_id, session_id, dataset_run_id))) != 1:
        raise ValueError("trace_id: a score has exactly one subject, trace_id, session_id or dataset_run_id")
    if trace_id:
        return trace_id
    if observation_id:
        raise ValueError("observation_id: needs the trace_id of its observation")
    return keys.session_group(session_id) if session_id else keys.run_group(dataset_run_id or "")


def typed_value(value: Any, data_type: DataType | None) -> tuple[DataType, float | None, str]:
    """(type, number, string) of a score's value; the type is inferred where it is None. Raises ValueError."""
    if isinstance(value, str):
        kind = data_type or "CATEGORICAL"
        if kind in ("NUMERIC", "BOOLEAN"):
            raise ValueError(f"value: a {kind} score has a number")
        return kind, None, value
    kind = data_type or ("BOOLEAN" if isinstance(value, bool) else "NUMERIC")
    number = _finite(value)
    if kind == "NUMERIC":
        return kind, number, ""
    if kind != "BOOLEAN":
        raise ValueError(f"value: a {kind} score has a string")
    if number not in (0, 1):
        raise ValueError("value: a BOOLEAN score is 0 or 1")
    return kind, number, "True" if number else "False"


def _finite(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number beyond what a float holds
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("value: a finite number or a string is required")
    return number
