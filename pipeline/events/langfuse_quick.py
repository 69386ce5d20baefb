"""The same as `parse_langfuse` and `langfuse_events`, for bodies as SDKs write them, in half of the time.

Problem: decoding was a worker's largest cost (15 of 54 µs an event of 1 KB), most of it in pydantic, which builds
values of its own from the JSON and Python's from those, and asks a function of ours for every text, time and map.
Rule: msgspec parses and checks in one pass whatever its types can say; what only Python can tell is checked here. Only
what is certainly valid is taken: a key that is not in the tables below, a time that is no text, a number that is
written as text, a control character in an id, deep nesting, anything odd gives None, and the caller asks pydantic,
which alone says what is wrong. So there is one set of rules and a shortcut through it: whatever this takes the other
takes too, with the same result to the last digit (tests/property/test_langfuse_quick.py).
Failure: none, but for being slow where the shortcut is closed.
"""

from collections.abc import Callable
from typing import Annotated, Any, Union, cast

import msgspec
from msgspec.structs import astuple

from pipeline.events import keys
from pipeline.events.langfuse import KINDS, KNOWN_TYPES, add_usage_and_cost, observation_event
from pipeline.events.langfuse_environment import canonical_environment
from pipeline.events.langfuse_usage import COST_KEYS, cost_details, legacy_usage, usage_details
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.events.values import parse_time, to_text

DEEPEST = 9  # levels of JSON inside a field: msgspec keeps a type for each way down, which are 2 to the power of it
_TRACE = Kind.TRACE
_LEVELS = {name: name.upper() for level in ("DEBUG", "DEFAULT", "WARNING", "ERROR") for name in (level, level.lower())}

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # orjson cannot write all that are larger
Json: Any = str | Whole | float | bool | None
for _ in range(DEEPEST):
    Json = Union[str, Whole, float, bool, None, list[Json], dict[str, Json]]  # noqa: UP007  # a value, no annotation

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=keys.MAX_ID_LENGTH)]  # and printable: see below
Map = dict[str, Json]
Numbers = dict[str, Whole | float | str | None]  # details inside details take the slow way


class _Said(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a body says, in the order of the tables below; what has no field of its own stands behind."""


class _Trace(_Said):
    timestamp: str | None = None
    name: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    input: Json = None
    output: Json = None
    sessionId: str | None = None
    userId: str | None = None
    environment: str | None = None
    metadata: Json = None
    release: str | None = None
    version: str | None = None
    public: bool | None = None
    tags: list[str] | None = None
    id: Id | None = None
    externalId: str | None = None


class _Observation(_Said):
    startTime: str | None = None
    name: str | None = None
    input: Json = None
    output: Json = None
    endTime: str | None = None
    completionStartTime: str | None = None
    environment: str | None = None
    metadata: Json = None
    level: str | None = None
    statusMessage: str | None = None
    parentObservationId: Annotated[str, msgspec.Meta(max_length=keys.MAX_ID_LENGTH)] | None = None
    version: str | None = None
    model: str | None = None
    modelParameters: Map | None = None
    promptName: str | None = None
    promptVersion: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None
    id: Id | None = None
    traceId: Id | None = None
    type: str | None = None
    usage: Numbers | None = None
    usageDetails: Numbers | None = None
    costDetails: Numbers | None = None


_ENVELOPE: tuple[Any, ...] = (("id", Id), ("timestamp", str), ("entityId", Id | None, None))
_DECODER = msgspec.json.Decoder(
    Union[  # noqa: UP007  # one type for each tag, which is how msgspec chooses the body
        tuple(
            msgspec.defstruct(
                what,
                (("body", body), *_ENVELOPE),
                tag=what,
                tag_field="type",
                forbid_unknown_fields=True,
                gc=False,
                kw_only=True,
            )
            for what, body in (("trace-create", _Trace), *((what, _Observation) for what in KINDS))
        )
    ]
)
# ValueError: UTF-8, times, amounts; KeyError: a level; RecursionError: depth in front of the type
_ODD = (msgspec.DecodeError, ValueError, KeyError, RecursionError)


def _metadata(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {"metadata": value}


# The canonical names of what a body may say, in its order, and how a value gets its canonical form.
_OF_TRACES: tuple[tuple[str, Callable[[Any], Any] | None], ...] = (
    ("start_time", parse_time),
    ("name", None),
    ("input", to_text),
    ("output", to_text),
    ("session_id", None),
    ("user_id", None),
    ("environment", canonical_environment),
    ("metadata", _metadata),
    ("release", None),
    ("version", None),
    ("public", None),
    ("tags", None),
)
_OF_OBSERVATIONS: tuple[tuple[str, Callable[[Any], Any] | None], ...] = (
    ("start_time", parse_time),
    ("name", None),
    ("input", to_text),
    ("output", to_text),
    ("end_time", parse_time),
    ("completion_start_time", parse_time),
    ("environment", canonical_environment),
    ("metadata", _metadata),
    ("level", _LEVELS.__getitem__),
    ("status_message", None),
    ("parent_observation_id", None),
    ("version", None),
    ("model", None),
    ("model_parameters", to_text),
    ("prompt_name", None),
    ("prompt_version", None),
)


def quick_events(project_id: str, raw: bytes) -> list[Event] | None:
    """The events of one item of a Langfuse batch; None where only the slow way can tell."""
    try:
        envelope = _DECODER.decode(raw)
        body, event_id = envelope.body, envelope.id
        own_id = body.id or envelope.entityId
        ids = (own_id, event_id, envelope.entityId or "")
        if not own_id or not all(map(str.isprintable, ids)):
            return None
        at = parse_time(envelope.timestamp)
        if type(body) is _Observation:
            event = _observation_event(project_id, envelope, at, own_id, body)
            return None if event is None else [event]
        fields = _fields(_OF_TRACES, body)
    except _ODD:
        return None
    return [Event(project_id, own_id, _TRACE, own_id, event_id, at, fields)]


def _observation_event(project_id: str, envelope: Any, at: Micros, own_id: str, body: _Observation) -> Event | None:
    parent_id, trace_id, type_, what = body.parentObservationId, body.traceId, body.type, type(envelope).__name__
    if (parent_id and not parent_id.isprintable()) or (trace_id and not trace_id.isprintable()):
        return None
    if not KINDS[what][0] and (type_ or "").lower() not in KNOWN_TYPES:
        return None
    fields = _fields(_OF_OBSERVATIONS, body)
    usage, costs = body.usage, body.costDetails
    if usage is not None or body.usageDetails is not None or costs is not None:
        details = None if body.usageDetails is None else usage_details(body.usageDetails)
        unasked = details and usage is not None and COST_KEYS.isdisjoint(usage)  # the older form says nothing more then
        legacy = None if usage is None or unasked else legacy_usage(usage)
        add_usage_and_cost(fields, details, None if costs is None else cost_details(costs), legacy)
    return observation_event(project_id, envelope.id, what, at, (own_id, trace_id, type_), fields)


def _fields(names: tuple[tuple[str, Callable[[Any], Any] | None], ...], body: _Trace | _Observation) -> Fields:
    """What is given and named, in its canonical form."""
    fields = {
        name: value if canonical is None else canonical(value)
        for (name, canonical), value in zip(names, astuple(body), strict=False)
        if value is not None
    }
    return cast(Fields, fields)
