"""The body of Langfuse's `score-create`: one subject, one value, a type that may be told by the value."""

import math
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from pipeline.events import keys
from pipeline.events.model import DataType, Fields, ScoreSource
from pipeline.events.values import IdField, MetadataField


class _ScoreBody(TypedDict, total=False):
    id: IdField | None
    name: Annotated[str, Field(min_length=1)]
    traceId: IdField | None
    observationId: IdField | None
    sessionId: IdField | None
    datasetRunId: IdField | None
    value: Any
    dataType: DataType | None
    comment: str | None
    source: ScoreSource | None
    environment: str | None
    metadata: MetadataField | None


def _checked(body: _ScoreBody) -> _ScoreBody:
    if not body.get("name"):
        raise ValueError("name: required")
    subjects = [name for name in ("traceId", "sessionId", "datasetRunId") if body.get(name)]
    if len(subjects) != 1:
        raise ValueError("a score has exactly one subject: traceId, sessionId or datasetRunId")
    if body.get("observationId") and not body.get("traceId"):
        raise ValueError("observationId: needs a traceId")
    _typed_value(body)
    return body


ScoreBody = Annotated[_ScoreBody, AfterValidator(_checked)]


def _typed_value(body: _ScoreBody) -> tuple[DataType, float | None, str]:
    """(type, numeric value, string value) of a score. Raises ValueError where value and type do not fit."""
    value, given = body.get("value"), body.get("dataType")
    if isinstance(value, bool):
        value = int(value)
        given = given or "BOOLEAN"
    if isinstance(value, str):
        kind = given or "CATEGORICAL"
        if kind in ("NUMERIC", "BOOLEAN"):
            raise ValueError(f"value: a {kind} score has a number")
        return kind, None, value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("value: a finite number or a string is required")
    kind = given or "NUMERIC"
    if kind not in ("NUMERIC", "BOOLEAN"):
        raise ValueError(f"value: a {kind} score has a string")
    if kind == "BOOLEAN" and value not in (0, 1):
        raise ValueError("value: a BOOLEAN score is 0 or 1")
    return kind, float(value), ("True" if value else "False") if kind == "BOOLEAN" else ""


_FIELDS = {
    "observationId": "observation_id", "sessionId": "session_id", "datasetRunId": "dataset_run_id", "name": "name",
    "comment": "comment", "source": "source", "environment": "environment", "metadata": "metadata",
}  # fmt: skip


def score_fields(body: _ScoreBody) -> tuple[str, Fields]:
    """(the group the score belongs to: its trace's id, or session:ID or run:ID; its fields)."""
    fields: dict[str, Any] = {_FIELDS[k]: v for k, v in body.items() if v is not None and k in _FIELDS}
    fields["data_type"], number, fields["string_value"] = _typed_value(body)
    if number is not None:
        fields["value"] = number
    fields.setdefault("source", "API")
    trace_id, session_id, run_id = body.get("traceId"), body.get("sessionId"), body.get("datasetRunId")
    group = trace_id or (keys.session_group(session_id) if session_id else keys.run_group(run_id or ""))
    return group, cast(Fields, fields)
