"""Langfuse's JSON events (one item of a batch of `POST /api/public/ingestion`) to canonical events.

The schemas follow Langfuse's public rules: unknown keys are ignored, null is the same as missing, one broken event
never concerns its neighbours. Two rules differ on purpose: an entity without an id gets one derived from the event's
id instead of vanishing, and values that are made up here (the trace of an observation without one, the type told by
an update) are marked as such so that explicit values beat them whatever arrives first. Both the front door (to answer
400 for what is invalid) and the worker (to map the stored bytes) run this code.
"""

from typing import Annotated, Any, Literal, NotRequired, get_args

from pydantic import BeforeValidator, Field, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pipeline.events import keys
from pipeline.events.langfuse_environment import Environment
from pipeline.events.langfuse_scores import ScoreBody, score_fields
from pipeline.events.langfuse_usage import Cost, CostDetails, LegacyUsage, Usage, UsageDetails
from pipeline.events.literals import check_literals
from pipeline.events.model import Event, Fields, Kind, Level, Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.events.tool_calls import tool_calls
from pipeline.events.values import IdField, MetadataField, MicrosField, TextField, to_text

OBSERVATION_TYPES = ("span", "generation", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail")


def _level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _parameters(value: object) -> str:
    if not isinstance(value, dict):
        raise ValueError("model parameters are an object")
    return to_text(value)


Parameters = Annotated[str, BeforeValidator(_parameters)]
ShortName = Annotated[str, Field(max_length=1000)]


class TraceBody(TypedDict, total=False):
    """Body of `trace-create`; there is no trace-update, a second create with the same id says more about it."""

    id: IdField | None
    timestamp: MicrosField | None
    name: ShortName | None
    input: TextField | None
    output: TextField | None
    sessionId: str | None
    userId: str | None
    environment: Environment | None
    metadata: MetadataField | None
    release: str | None
    version: str | None
    public: Annotated[bool, Strict()] | None
    tags: list[str] | None


class ObservationBody(TypedDict, total=False):
    """Body of every observation event: the fields of Langfuse's generation, of which a span uses fewer."""

    id: IdField | None
    traceId: IdField | None
    type: str | None
    environment: Environment | None
    name: str | None
    startTime: MicrosField | None
    endTime: MicrosField | None
    completionStartTime: MicrosField | None
    metadata: MetadataField | None
    input: TextField | None
    output: TextField | None
    level: Annotated[Level, BeforeValidator(_level)] | None
    statusMessage: str | None
    parentObservationId: IdField | Literal[""] | None  # empty: it has no parent
    version: str | None
    model: str | None
    modelParameters: Parameters | None
    usage: Usage | None
    usageDetails: UsageDetails | None
    costDetails: CostDetails | None
    promptName: str | None
    promptVersion: Annotated[int, Field(ge=0, lt=2**31)] | None


class _Envelope(TypedDict):
    id: IdField
    timestamp: MicrosField
    entityId: NotRequired[IdField | None]  # the front door's, where the id of a single object was not in its body


class TraceEnvelope(_Envelope):
    """`trace-create`."""

    type: Literal["trace-create"]
    body: TraceBody


What = Literal[
    "event-create", "span-create", "span-update", "generation-create", "generation-update", "agent-create",
    "tool-create", "chain-create", "retriever-create", "evaluator-create", "embedding-create", "guardrail-create",
    "observation-create", "observation-update",
]  # fmt: skip


class ObservationEnvelope(_Envelope):
    """Everything that creates or updates an observation."""

    type: What
    body: ObservationBody


class ScoreEnvelope(_Envelope):
    """`score-create`."""

    type: Literal["score-create"]
    body: ScoreBody


class LogEnvelope(_Envelope):
    """`sdk-log`: accepted from clients, never stored."""

    type: Literal["sdk-log"]
    body: Any


Envelope = TraceEnvelope | ObservationEnvelope | ScoreEnvelope | LogEnvelope
_ADAPTER: TypeAdapter[Envelope] = TypeAdapter(Annotated[Envelope, Field(discriminator="type")])

KINDS: dict[str, tuple[str, bool]] = {
    what: ("" if what.startswith("observation-") else what.partition("-")[0].upper(), what.endswith("-create"))
    for what in get_args(What)
}  # the type of the observation, "" where the body tells; whether it is created
_OBSERVATION = Kind.OBSERVATION  # an enum's members are slow to look up

_TRACE_FIELDS = {
    "timestamp": "start_time", "name": "name", "input": "input", "output": "output", "sessionId": "session_id",
    "userId": "user_id", "environment": "environment", "metadata": "metadata", "release": "release",
    "version": "version", "public": "public", "tags": "tags",
}  # fmt: skip

_OBSERVATION_FIELDS = {
    "environment": "environment", "name": "name", "startTime": "start_time", "endTime": "end_time",
    "completionStartTime": "completion_start_time", "metadata": "metadata", "input": "input", "output": "output",
    "level": "level", "statusMessage": "status_message", "parentObservationId": "parent_observation_id",
    "version": "version", "model": "model", "modelParameters": "model_parameters", "promptName": "prompt_name",
    "promptVersion": "prompt_version",
}  # fmt: skip


def parse_langfuse(raw: bytes) -> Envelope:
    """Validate one event of a batch. Raises DecodeError: MALFORMED where it is no JSON, else INVALID with the path."""
    try:
        envelope = _ADAPTER.validate_json(raw)
    except ValidationError as error:
        raise _decode_error(error) from None
    check_literals(raw)
    if envelope["type"] in _NEEDS_ID and not (envelope["body"].get("id") or envelope.get("entityId")):
        raise DecodeError(Reason.INVALID, f"body.id: required for {envelope['type']}")
    if envelope["type"].startswith("observation-") and str(envelope["body"].get("type")).lower() not in KNOWN_TYPES:
        raise DecodeError(Reason.INVALID, f"body.type: required, one of {', '.join(sorted(KNOWN_TYPES)).upper()}")
    return envelope


_NEEDS_ID = frozenset({"event-create", "span-update", "generation-update", "observation-update"})
KNOWN_TYPES = frozenset({*OBSERVATION_TYPES, "event"})


def _decode_error(error: ValidationError) -> DecodeError:
    """The first three problems in one sentence each; input values are left out, they may be secret or huge."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    reason = Reason.MALFORMED if problems[0]["type"] == "json_invalid" else Reason.INVALID
    text = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'event'}: {p['msg']}" for p in problems[:3])
    return DecodeError(reason, text)


def langfuse_events(project_id: str, envelope: Envelope) -> list[Event]:
    """The canonical events of a validated envelope: one, or none for `sdk-log`."""
    if envelope["type"] == "trace-create":
        return [_trace_event(project_id, envelope)]
    if envelope["type"] == "score-create":
        return [_score_event(project_id, envelope)]
    if envelope["type"] == "sdk-log":
        return []
    return [_observation_event(project_id, envelope)]


def _renamed(body: Any, names: dict[str, str]) -> Fields:
    fields: Any = {}
    for key, value in body.items():
        if value is not None and key in names:
            fields[names[key]] = value
    return fields  # type: ignore[no-any-return]  # the keys come from a table of Fields' names


def _trace_event(project_id: str, envelope: TraceEnvelope) -> Event:
    body = envelope["body"]
    trace_id = body.get("id") or envelope.get("entityId") or keys.derived_id(project_id, envelope["id"])
    fields = _renamed(body, _TRACE_FIELDS)
    return Event(project_id, trace_id, Kind.TRACE, trace_id, envelope["id"], envelope["timestamp"], fields)


def _observation_event(project_id: str, envelope: ObservationEnvelope) -> Event:
    body = envelope["body"]
    fields = _renamed(body, _OBSERVATION_FIELDS)
    add_usage_and_cost(fields, body.get("usageDetails"), body.get("costDetails"), body.get("usage"))
    own_id, what = body.get("id") or envelope.get("entityId"), envelope["type"]
    given = (own_id, body.get("traceId"), body.get("type"))
    return observation_event(project_id, envelope["id"], what, envelope["timestamp"], given, fields)


def observation_event(
    project_id: str,
    event_id: str,
    what: str,
    at: Micros,
    given: tuple[str | None, str | None, str | None],
    fields: Fields,
) -> Event:
    """The event of an observation: `what` is the envelope's type, `given` its ids, its trace's and type, if told.

    `fields` hold the rest and get the type and the tool calls.
    """
    own_id, given_trace, type_ = given
    entity_id = own_id or keys.derived_id(project_id, event_id)
    kind, created = KINDS[what]
    kind = kind or (type_ or "SPAN").upper()
    fields["type" if created else "type_provisional"] = kind
    if kind == "GENERATION" and "output" in fields and (calls := tool_calls(fields["output"])):
        fields["tool_calls"] = calls
    trace_id = given_trace or keys.derived_id(project_id, entity_id)
    return Event(
        project_id, trace_id, _OBSERVATION, entity_id, event_id, at, fields, created, derived_trace=not given_trace
    )


def add_usage_and_cost(
    fields: Fields, details: dict[str, int] | None, costs: Cost | None, legacy: LegacyUsage | None
) -> None:
    """`usageDetails` and `costDetails` win over the legacy `usage` object, which may hold both."""
    usage = details or (legacy.units if legacy else None)
    cost = costs or (legacy.cost if legacy else None)
    if usage:
        fields["usage"] = usage
    if cost:
        fields["cost"] = cost


def _score_event(project_id: str, envelope: ScoreEnvelope) -> Event:
    body = envelope["body"]
    score_id = body.get("id") or envelope.get("entityId") or keys.derived_id(project_id, envelope["id"])
    trace_id, fields = score_fields(body)
    return Event(project_id, trace_id, Kind.SCORE, score_id, envelope["id"], envelope["timestamp"], fields)
