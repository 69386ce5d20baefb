"""The shape of canonical events on the wire, as JSON or as the record that Avro gives: the rules, written once.

Rule: snake_case keys, the names of `pipeline.events.model.Fields`; null is the same as missing, unknown keys are
ignored, strings and numbers are not turned into each other. schemas/README.md says the same to producers.
TypedDicts, not models: validating one costs a few microseconds, and this is the hot path.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, Strict, StringConstraints, TypeAdapter, WithJsonSchema
from pydantic_core import from_json
from typing_extensions import TypedDict

from pipeline.events.keys import MAX_ID_LENGTH
from pipeline.events.model import DataType, Level, ScoreSource
from pipeline.events.values import IdField, MetadataField, MicrosField, TextField, to_text, to_usd

MAX_UNITS = 2**63 - 1  # Avro's long; a count of tokens never comes near


def _parameters(value: Any) -> str:
    """An object, or the text of one as Avro carries it -> compact JSON."""
    if isinstance(value, str):
        value = from_json(value)
    if not isinstance(value, dict):
        raise ValueError("model parameters are an object")
    return to_text(value)


def _cost(value: Any) -> dict[str, Decimal]:
    if not isinstance(value, dict):
        raise ValueError("cost is an object of amounts")
    return {key: to_usd(amount) for key, amount in value.items() if amount is not None}


Flag = Annotated[bool, Strict()]
ProjectId = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=r"^[^\x00-\x1f\x7f/]*$")
]  # "/" ends it
TypeName = Annotated[str, StringConstraints(min_length=1, to_upper=True)]
_PARAMETERS_JSON: dict[str, Any] = {"type": ["object", "string"], "description": "An object, or its text as JSON."}
_COST_JSON: dict[str, Any] = {
    "type": "object",
    "description": "US dollars by usage key, below 1,000,000 each: numbers or decimal text.",
    "additionalProperties": {"type": ["number", "string", "null"]},
}
Parameters = Annotated[str, PlainValidator(_parameters), WithJsonSchema(_PARAMETERS_JSON)]
Units = dict[str, Annotated[int, Strict(), Field(ge=0, le=MAX_UNITS)]]
Cost = Annotated[dict[str, Decimal], PlainValidator(_cost), WithJsonSchema(_COST_JSON)]
PromptVersion = Annotated[int, Strict(), Field(ge=0, lt=2**31)]


class _Required(TypedDict):
    project_id: ProjectId
    at: MicrosField


class _Common(_Required, total=False):
    event_id: IdField | None
    created: Flag | None
    environment: str | None
    metadata: MetadataField | None
    deleted: Flag | None


class _Versioned(_Common, total=False):
    """What traces and observations share, and the attributes of a trace that any of its observations may carry."""

    name: str | None
    version: str | None
    input: TextField | None
    output: TextField | None
    user_id: str | None
    session_id: str | None
    release: str | None
    tags: list[str] | None
    public: Flag | None
    start_time: MicrosField | None


class TraceBody(_Versioned):
    """A statement about a trace; its entity is the trace itself."""

    kind: Literal["trace"]
    trace_id: IdField


class _ObservationFields(_Versioned, total=False):
    trace_id: IdField | None
    trace_name: str | None
    parent_observation_id: IdField | None
    type: TypeName | None
    type_provisional: TypeName | None
    end_time: MicrosField | None
    completion_start_time: MicrosField | None
    level: Level | None
    status_message: str | None
    model: str | None
    model_parameters: Parameters | None
    usage: Units | None
    cost: Cost | None
    prompt_name: str | None
    prompt_version: PromptVersion | None
    tool_calls: list[str] | None


class ObservationBody(_ObservationFields):
    """A statement about an observation: a span, a generation, an event, a tool call and so on."""

    kind: Literal["observation"]
    observation_id: IdField


class _ScoreFields(_Common, total=False):
    trace_id: IdField | None
    observation_id: IdField | None
    session_id: IdField | None
    dataset_run_id: IdField | None
    name: Annotated[str, Field(min_length=1)] | None
    data_type: DataType | None
    value: Any
    string_value: str | None
    comment: str | None
    source: ScoreSource | None
    evaluator: str | None


class ScoreBody(_ScoreFields):
    """A statement about a score; `value` holds a number, a truth value or a string. A tombstone needs no name."""

    kind: Literal["score"]
    score_id: IdField


Body = TraceBody | ObservationBody | ScoreBody
BODY: TypeAdapter[Body] = TypeAdapter(Annotated[Body, Field(discriminator="kind")])
