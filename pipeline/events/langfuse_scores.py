"""The body of Langfuse's `score-create`: one subject, one value, a type that may be told by the value."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from pipeline.events.langfuse_environment import Environment
from pipeline.events.model import DataType, Fields, ScoreSource
from pipeline.events.scores import subject_group, typed_value
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
    environment: Environment | None
    metadata: MetadataField | None
    configId: str | None


LONGEST_TEXT = 500  # characters of a TEXT score
CORRECTION_NAME = "output"  # what a correction corrects, whatever it is called


def _checked(body: _ScoreBody) -> _ScoreBody:
    if body.get("dataType") == "CORRECTION":
        _check_correction(body)
    if not body.get("name"):
        raise ValueError("name: required")
    _group(body)
    typed_value(body.get("value"), body.get("dataType"))
    if body.get("dataType") == "TEXT" and not 1 <= len(body["value"]) <= LONGEST_TEXT:
        raise ValueError(f"value: a TEXT score has 1 to {LONGEST_TEXT} characters")
    return body


def _check_correction(body: _ScoreBody) -> None:
    if body.get("configId"):
        raise ValueError("configId: a CORRECTION score has none")
    if not body.get("traceId"):
        raise ValueError("traceId: a CORRECTION score is about a trace or an observation")
    body["name"] = CORRECTION_NAME


ScoreBody = Annotated[_ScoreBody, AfterValidator(_checked)]


def _group(body: _ScoreBody) -> str:
    return subject_group(
        body.get("traceId"), body.get("sessionId"), body.get("datasetRunId"), body.get("observationId")
    )


_FIELDS = {
    "observationId": "observation_id", "sessionId": "session_id", "datasetRunId": "dataset_run_id", "name": "name",
    "comment": "comment", "source": "source", "environment": "environment", "metadata": "metadata",
}  # fmt: skip


def score_fields(body: _ScoreBody) -> tuple[str, Fields]:
    """(the group the score belongs to: its trace's id, or session:ID or run:ID; its fields)."""
    fields: dict[str, Any] = {_FIELDS[k]: v for k, v in body.items() if v is not None and k in _FIELDS}
    fields["data_type"], number, fields["string_value"] = typed_value(body.get("value"), body.get("dataType"))
    if number is not None:
        fields["value"] = number
    fields.setdefault("source", "API")
    return _group(body), cast(Fields, fields)
