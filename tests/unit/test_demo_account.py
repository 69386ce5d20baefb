"""The demo's verdict: silent where every witness says the same, and by name where one differs."""

import re
from collections import Counter

import pytest

from pipeline.demo.account import differences
from pipeline.demo.freshness import Freshness
from pipeline.demo.sent import Source
from tests.fixtures.demo import ACCOUNT, sent


def test_nothing_is_said_where_all_adds_up() -> None:
    assert differences(sent(), ACCOUNT) == []


def test_duplicates_of_a_source_are_what_was_neither_new_nor_rejected() -> None:
    assert [ACCOUNT.duplicates(source) for source in Source] == [2, 0, 0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"on_topic": ACCOUNT.on_topic - Counter({Source.HTTP: 1})}, "6 events acknowledged over HTTP, 5 on the topic"),
        ({"on_topic": ACCOUNT.on_topic - Counter({Source.KAFKA: 1})}, "5 events acknowledged by Kafka, 4 on the topic"),
        ({"ledger": ACCOUNT.ledger._replace(duplicate=1)}, "12 new, duplicate and rejected, 13 records on the topic"),
        ({"archived": ACCOUNT.archived - Counter({Source.HTTP: 1})}, "10 new events in the ledger, 9 in the archive"),
        ({"rejected": Counter()}, "1 rejected events in the ledger, 0 dead letters"),
        ({"rows": ACCOUNT.rows._replace(traces=1)}, "2 traces sent, 1 in the view"),
        ({"rows": ACCOUNT.rows._replace(observations=4)}, "3 observations sent, 4 in the view"),
        ({"rows": ACCOUNT.rows._replace(scores=0)}, "1 scores sent, 0 in the view"),
    ],
)
def test_each_disagreement_is_named(changes: dict[str, object], says: str) -> None:
    found = differences(sent(), ACCOUNT._replace(**changes))
    assert any(re.fullmatch(re.escape(says), sentence) for sentence in found), found


@pytest.mark.parametrize(("percent", "seconds"), [(50, 0.2), (75, 0.3), (99, 0.4), (100, 0.4), (0, 0.1)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, seconds: float) -> None:
    assert Freshness([0.4, 0.1, 0.3, 0.2]).percentile(percent) == seconds
