"""The canonical event: what every wire format is decoded to, and all that the fold ever sees.

An event says something about one entity (a trace, an observation or a score) of one trace. It carries only opinions:
a field that is missing or null on the wire is not in `fields`. Values are already in their canonical form:

- times are integers, microseconds since the Unix epoch, UTC (`Micros`);
- money is `Decimal`, US dollars;
- `input` and `output` are text: a JSON string as its characters, anything else as compact JSON;
- `metadata` is a dict of JSON values; `tags` a list of strings.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple, NewType

from typing_extensions import TypedDict

Micros = NewType("Micros", int)
Usd = Decimal

Level = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
DataType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION"]
ScoreSource = Literal["API", "EVAL", "ANNOTATION"]


class Kind(StrEnum):
    """What an event talks about."""

    TRACE = "trace"
    OBSERVATION = "observation"
    SCORE = "score"


class Fields(TypedDict, total=False):
    """Every field an event may have an opinion on; which ones make sense depends on the event's kind."""

    # any kind
    name: str
    deleted: bool  # a tombstone, of a trace or a score: hides what it says of itself up to the event's `at`
    environment: str
    version: str
    metadata: dict[str, Any]
    input: str
    output: str
    # trace events, and spans that carry attributes of their trace (then with `trace_name`, not `name`)
    trace_name: str
    user_id: str
    session_id: str
    release: str
    tags: list[str]
    public: bool
    start_time: Micros
    # observation events
    parent_observation_id: str
    type: str  # given by a create
    type_provisional: str  # guessed from an update; any `type` beats it
    end_time: Micros
    completion_start_time: Micros
    level: Level
    status_message: str
    model: str
    model_parameters: str  # compact JSON
    usage: dict[str, int]  # as received
    cost: dict[str, Decimal]  # as received, USD
    prompt_name: str
    prompt_version: int
    tool_calls: list[str]
    # score events
    observation_id: str
    dataset_run_id: str
    data_type: DataType
    value: float
    string_value: str
    comment: str
    source: ScoreSource
    evaluator: str


class Event(NamedTuple):
    """One statement about one entity.

    `trace_id` is what the fold groups by: the trace's id, or for a score without a trace `session:ID` or `run:ID`.
    `event_id` and the hash of the original bytes are the event's identity (docs/folding.md, "Identity").
    `at` orders opinions; it is the client's event time, not the time of arrival.
    """

    project_id: str
    trace_id: str
    kind: Kind
    entity_id: str
    event_id: str
    at: Micros
    fields: Fields
    created: bool = True
    derived_trace: bool = False  # the wire had no trace id; this one was derived from (project, entity id)


Headers = tuple[tuple[str, bytes | None], ...]  # Kafka allows one without a value


class Record(NamedTuple):
    """One Kafka record as the stream hands it over; times in microseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: Micros  # LogAppendTime; below 0: none (Kafka's oldest formats)
    key: bytes | None
    value: bytes | None
    headers: Headers


def appended_at(milliseconds: int | None) -> Micros:
    """A record's time as Kafka's client tells it, in microseconds; below 0 where it has none."""
    return Micros(-1_000 if milliseconds is None else milliseconds * 1_000)
