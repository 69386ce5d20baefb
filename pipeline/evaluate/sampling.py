"""Which settled traces a rule is asked for: a function of project, rule and trace, never of chance (I7)."""

from collections.abc import Callable, Iterable

import xxhash

from pipeline.evaluate.requests import EvaluationRequest, Rule
from pipeline.events.model import Micros

RulesOf = Callable[[str], Iterable[Rule]]  # project id -> its enabled rules
_SPACE = 2**64


def chosen(project_id: str, rule_id: str, trace_id: str, rate: float) -> bool:
    """True for the share `rate` (0 to 1) of traces. A higher rate keeps what a lower one chose."""
    return xxhash.xxh3_64_intdigest(f"{project_id}\x1f{rule_id}\x1f{trace_id}".encode()) < rate * _SPACE


def requests_for(
    project_id: str, trace_id: str, revision: int, as_of: Micros, rules: Iterable[Rule]
) -> list[EvaluationRequest]:
    """The requests that a trace which has just settled gives rise to."""
    return [
        EvaluationRequest(project_id, trace_id, revision, as_of, rule)
        for rule in rules
        if chosen(project_id, rule.id, trace_id, rule.sampling_rate)
    ]
