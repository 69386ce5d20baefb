"""Usage as providers and clients spell it, made disjoint: nothing is counted twice, nothing is lost."""

import pytest

from pipeline.cost.usage import normalise
from pipeline.cost.usage_shape import Usage


@pytest.mark.parametrize(
    ("given", "usage"),
    [
        ({}, {}),
        ({"input": 3, "output": 4}, {"input": 3, "output": 4, "total": 7}),
        ({"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}, {"input": 3, "output": 4, "total": 7}),
        ({"total": 9}, {"total": 9}),
        ({"input": 0, "output": 0}, {"input": 0, "output": 0, "total": 0}),
        ({"input": 1, "my_custom_units": 5}, {"input": 1, "my_custom_units": 5, "total": 6}),
    ],
)
def test_plain_counts_keep_their_meaning(given: Usage, usage: Usage) -> None:
    assert normalise(given)[:2] == (usage, ())


def test_openai_counts_cached_and_reasoning_tokens_inside_their_wholes() -> None:
    given = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details.cached_tokens": 60, "prompt_tokens_details.audio_tokens": 0,
        "completion_tokens_details.reasoning_tokens": 20,
        "completion_tokens_details.accepted_prediction_tokens": 5,  # no price of its own: it stays in the output
    }  # fmt: skip
    assert normalise(given)[:2] == (
        {"input": 40, "output": 30, "input_cached": 60, "output_reasoning": 20, "total": 150}, (),
    )  # fmt: skip


def test_openai_responses_spell_the_same_differently() -> None:
    given = {
        "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
        "input_tokens_details.cached_tokens": 60, "output_tokens_details.reasoning_tokens": 20,
    }  # fmt: skip
    assert normalise(given)[:2] == (
        {"input": 40, "output": 30, "input_cached": 60, "output_reasoning": 20, "total": 150}, (),
    )  # fmt: skip


def test_anthropic_counts_cached_tokens_beside_the_input() -> None:
    given = {
        "input_tokens": 10, "output_tokens": 50, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 300,
        "cache_creation.ephemeral_5m_input_tokens": 100, "cache_creation.ephemeral_1h_input_tokens": 200,
    }  # fmt: skip
    assert normalise(given)[:2] == (
        {"input": 10, "output": 50, "input_cached": 1000, "input_cache_write_5m": 100, "input_cache_write_1h": 200,
         "total": 1360}, (),
    )  # fmt: skip


def test_gemini_counts_cached_content_inside_the_prompt_and_thoughts_beside_the_candidates() -> None:
    given = {
        "prompt_token_count": 100, "cached_content_token_count": 60, "candidates_token_count": 30,
        "thoughts_token_count": 20, "total_token_count": 150,
    }  # fmt: skip
    assert normalise(given)[:2] == (
        {"input": 40, "output": 30, "output_reasoning": 20, "input_cached": 60, "total": 150}, (),
    )  # fmt: skip


def test_a_part_that_is_given_nested_and_flat_is_one_count() -> None:
    given = {"prompt_tokens": 100, "prompt_tokens_details.cached_tokens": 60, "cache_read_input_tokens": 60}
    assert normalise(given)[:2] == ({"input": 40, "input_cached": 60, "total": 100}, ())


def test_a_total_that_is_not_the_sum_is_kept_and_flagged() -> None:
    assert normalise({"input": 3, "output": 4, "total": 10})[:2] == (
        {"input": 3, "output": 4, "total": 10}, ("total_mismatch",),
    )  # fmt: skip


def test_parts_larger_than_their_whole_are_flagged_and_nothing_is_negative() -> None:
    usage, flags, _ = normalise({"prompt_tokens": 5, "prompt_tokens_details.cached_tokens": 8})
    assert (usage, flags) == ({"input": 0, "input_cached": 8, "total": 8}, ("negative_usage",))
