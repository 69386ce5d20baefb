"""The rule-based evaluators: what a rule can ask of a settled trace. Each is a pure function of its rows.

A verdict is 1 (the rule holds: good) or 0 (it is broken), with a sentence that says why. None means that the rule has
nothing to say about this trace, and no score is made.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from pipeline.errors import SpanfoldError


class Subject(NamedTuple):
    """What evaluators see of a trace; `latency_ms` is None while nothing has ended."""

    output: str  # the trace's, or where that is empty the root observation's
    latency_ms: float | None
    total_cost: float | None  # USD
    error_count: int


class Verdict(NamedTuple):
    """A score's value and its comment."""

    passed: bool
    comment: str


class EvaluatorError(SpanfoldError):
    """A rule names an evaluator or a parameter that does not exist."""


Evaluator = Callable[[Subject, Mapping[str, Any]], Verdict | None]


def output_empty(subject: Subject, _: Mapping[str, Any]) -> Verdict:
    """Broken where the output is empty or nothing but white space."""
    empty = not subject.output.strip()
    return Verdict(not empty, "the output is empty" if empty else f"{len(subject.output)} characters of output")


def output_invalid_json(subject: Subject, _: Mapping[str, Any]) -> Verdict:
    """Broken where the output is no JSON document."""
    try:
        orjson.loads(subject.output)
    except orjson.JSONDecodeError as error:
        return Verdict(False, f"the output is no JSON: {error}"[:500])
    return Verdict(True, "the output is JSON")


def latency_above(subject: Subject, parameters: Mapping[str, Any]) -> Verdict | None:
    """Broken where the trace took longer than `limit_ms` milliseconds; silent where the latency is unknown."""
    limit = _number(parameters, "limit_ms")
    if subject.latency_ms is None:
        return None
    return Verdict(subject.latency_ms <= limit, f"{subject.latency_ms:g} ms, the limit is {limit:g} ms")


def cost_above(subject: Subject, parameters: Mapping[str, Any]) -> Verdict | None:
    """Broken where the trace cost more than `limit_usd`; silent where the cost is unknown."""
    limit = _number(parameters, "limit_usd")
    if subject.total_cost is None:
        return None
    return Verdict(subject.total_cost <= limit, f"{subject.total_cost:g} USD, the limit is {limit:g} USD")


def has_errors(subject: Subject, _: Mapping[str, Any]) -> Verdict:
    """Broken where an observation of the trace has level ERROR."""
    return Verdict(subject.error_count == 0, f"{subject.error_count} observations failed")


EVALUATORS: dict[str, Evaluator] = {
    "output_empty": output_empty,
    "output_invalid_json": output_invalid_json,
    "latency_above": latency_above,
    "cost_above": cost_above,
    "has_errors": has_errors,
}


def evaluator(name: str) -> Evaluator:
    """The evaluator of a rule. Raises EvaluatorError for a name that does not exist."""
    found = EVALUATORS.get(name)
    if found is None:
        raise EvaluatorError(f"There is no evaluator {name!r}.", remedy=f"Use one of {', '.join(EVALUATORS)}.")
    return found


def _number(parameters: Mapping[str, Any], name: str) -> float:
    value = parameters.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluatorError(f"The parameter {name!r} is {value!r}.", remedy="Give the rule a number for it.")
    return float(value)
