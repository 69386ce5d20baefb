"""Every provider's and library's usage payload: what it bills, read by the rule that it must be read by."""

import pytest
from pydantic import TypeAdapter

from pipeline.cost.usage import normalise
from pipeline.cost.usage_rules import NOT_TOKENS, RULES
from pipeline.events.langfuse_usage import UsageDetails
from tests.fixtures.usage_payloads import PAYLOADS, Payload

DETAILS: TypeAdapter[dict[str, int]] = TypeAdapter(UsageDetails)

each = pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.name)


@each
def test_a_payload_is_read_as_it_is_billed(payload: Payload) -> None:
    usage, flags, rule = normalise(DETAILS.validate_python(payload.given), payload.model)
    total = sum(count for key, count in payload.billed.items() if key not in NOT_TOKENS)
    assert usage == {**payload.billed, "total": total}
    assert (rule, flags) == (payload.rule, ())


@each
def test_the_order_of_a_payloads_keys_changes_nothing(payload: Payload) -> None:
    given = DETAILS.validate_python(payload.given)
    backwards = dict(reversed(given.items()))
    assert normalise(backwards, payload.model) == normalise(given, payload.model)


def test_every_rule_is_shown_by_a_payload() -> None:
    assert {rule.id for rule in RULES} == {payload.rule.partition("/")[0] for payload in PAYLOADS}


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt_tokens": -5, "completion_tokens": 2.5, "total_tokens": True},
        {"prompt_tokens": "many", "prompt_tokens_details": "none"},
        {"a": {"b": {"c": {"d": 5}}}},
        {"promptTokensDetails": [1, None, {"modality": 3, "tokenCount": 4}, {"modality": "AUDIO"}, [[]]]},
    ],
)
def test_what_is_no_count_counts_for_nothing(odd: object) -> None:
    assert normalise(DETAILS.validate_python(odd)) == ({}, (), "")
