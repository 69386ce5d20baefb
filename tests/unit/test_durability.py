"""What `spanfold doctor` thinks of how topics are kept."""

import pytest

from pipeline.config import Settings
from pipeline.ops.durability import UNCLEAN, Kept, judge
from pipeline.ops.topics import MIN_IN_SYNC, topic_specs

GOOD = Kept("spanfold.events", 3, 2, unclean=False)


def test_three_replicas_of_which_two_must_be_in_sync_are_good() -> None:
    finding = judge([GOOD], brokers=3)
    assert (finding.ok, finding.found) == (True, "3 brokers, 3 replicas, 2 in sync at least")


def test_of_one_broker_nothing_more_is_asked() -> None:
    finding = judge([Kept("spanfold.events", 1, 1, unclean=True)], brokers=1)
    assert finding.ok
    assert "the only copy" in finding.found


def test_topics_that_are_not_there_are_no_weakness_of_theirs() -> None:
    assert judge([], brokers=3).ok


@pytest.mark.parametrize(
    ("kept", "found", "remedy"),
    [
        (Kept("t", 1, 1, unclean=False), "t has 1 replica on 3 brokers", "SPANFOLD_TOPIC_REPLICATION=3"),
        (Kept("t", 3, 1, unclean=False), f"t has {MIN_IN_SYNC}=1", f"--add-config {MIN_IN_SYNC}=2"),
        (Kept("t", 3, 2, unclean=True), f"t has {UNCLEAN}=true", f"--add-config {UNCLEAN}=false"),
    ],
)
def test_each_weakness_is_named_with_its_remedy(kept: Kept, found: str, remedy: str) -> None:
    finding = judge([GOOD, kept], brokers=3)
    assert not finding.ok
    assert finding.found == found
    assert remedy in finding.remedy


def test_all_weaknesses_are_told_at_once_and_each_remedy_once() -> None:
    finding = judge([Kept("a", 3, 1, unclean=True), Kept("b", 3, 1, unclean=False)], brokers=5)
    assert finding.found.count(MIN_IN_SYNC) == 2
    assert finding.remedy.count(MIN_IN_SYNC) == 1


@pytest.mark.parametrize(("replication", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_topics_are_asked_for_with_two_in_sync_where_there_are_three(replication: int, in_sync: str | None) -> None:
    for spec in topic_specs(Settings()):
        assert spec.request(replication).topic_configs.get(MIN_IN_SYNC) == in_sync
