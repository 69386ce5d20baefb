"""Which topics take less than the events topic, and what is said of them."""

import pytest

from pipeline.config import Settings
from pipeline.topic_limits import LARGEST, learn_limits, too_small

SETTINGS = Settings(topic_prefix="t")


@pytest.mark.parametrize(
    ("events", "overflow", "letters", "small"),
    [
        ("100", "100", "100", []),
        ("100", "99", "200", ["t.events.overflow"]),
        ("100", "99", "1", ["t.events.overflow", "t.dead-letters"]),
        ("", "99", "1", []),  # the broker did not tell
        ("100", "", "no number", []),
    ],
)
def test_a_topic_that_takes_less_is_named_with_the_command_that_mends_it(
    events: str, overflow: str, letters: str, small: list[str]
) -> None:
    told = {"t.events": events, "t.events.overflow": overflow, "t.dead-letters": letters}
    found = too_small(SETTINGS, {topic: {LARGEST: limit} for topic, limit in told.items()})
    assert list(found) == small
    assert all(f"--alter --topic {topic} --add-config {LARGEST}=100" in text for topic, text in found.items())
    assert too_small(SETTINGS, {}) == {}


async def test_a_broker_that_is_not_there_leaves_the_limits_unknown() -> None:
    assert await learn_limits(Settings(kafka_bootstrap="127.0.0.1:1")) == {}
