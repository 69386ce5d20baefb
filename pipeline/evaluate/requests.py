"""The request to evaluate a settled trace, as it travels on the evaluations topic."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pipeline.events.keys import record_key
from pipeline.events.model import Micros
from pipeline.events.reasons import DecodeError, Reason


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do: an evaluator by name (see evaluators.py), its parameters, and the share of traces it is asked for."""

    id: str
    name: str  # the score's name
    evaluator: str
    parameters: dict[str, Any]
    sampling_rate: float


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """Evaluate one trace by one rule.

    `revision` is the number of events (scores not counted) that the trace had when it settled, `as_of` the newest of
    their event times, microseconds. Both are functions of the event set, and so is the score made from them (I7).
    """

    project_id: str
    trace_id: str
    revision: int
    as_of: Annotated[int, Field(ge=-(2**63), lt=2**63)]  # a score that is made from it must fit its event
    rule: Rule

    @property
    def key(self) -> bytes:
        """Kafka key: requests for a trace stay in order."""
        return record_key(self.project_id, self.trace_id)

    @property
    def at(self) -> Micros:
        """Event time of the score."""
        return Micros(self.as_of)


_ADAPTER = TypeAdapter(EvaluationRequest)


def encode_request(request: EvaluationRequest) -> bytes:
    """JSON of a request; a rule's parameters may hold numbers of any size, which orjson refuses."""
    return _ADAPTER.dump_json(request)


def decode_request(value: bytes) -> EvaluationRequest:
    """Inverse of `encode_request`; raises DecodeError."""
    try:
        return _ADAPTER.validate_json(value)
    except ValidationError as error:
        raise DecodeError(Reason.INVALID, f"not an evaluation request: {error.error_count()} problems") from None
