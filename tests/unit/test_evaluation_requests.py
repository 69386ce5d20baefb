"""Requests for an evaluation as they travel: whatever a rule says arrives, and none stops who sends or reads it."""

from typing import Any

import pytest

from pipeline.evaluate.requests import EvaluationRequest, Rule, decode_request, encode_request
from pipeline.events.reasons import DecodeError, Reason


def request(**parameters: Any) -> EvaluationRequest:
    return EvaluationRequest("p", "t/ü", 3, 5, Rule("r", "name", "latency_above", parameters, 0.5))


@pytest.mark.parametrize("parameters", [{}, {"limit_ms": 10**30, "ü": [1, None, {"a": -1.5}]}, {"x": -(2**64)}])
def test_a_request_arrives_whatever_its_rule_says(parameters: dict[str, Any]) -> None:
    assert decode_request(encode_request(request(**parameters))) == request(**parameters)


@pytest.mark.parametrize("as_of", [2**63, -(2**63) - 1, 10**30])
def test_a_time_that_no_score_can_have_is_a_dead_letter_and_not_the_end_of_the_evaluator(as_of: int) -> None:
    value = encode_request(request()).replace(b'"as_of":5', b'"as_of":%d' % as_of)
    with pytest.raises(DecodeError) as error:
        decode_request(value)
    assert error.value.reason is Reason.INVALID
