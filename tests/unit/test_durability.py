"""What `spanfold doctor` thinks of how topics are kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAlreadyExistsError

from pipeline.config import Settings
from pipeline.ops import doctor_services, durability, topics
from pipeline.ops.durability import UNCLEAN, Kept, judge
from pipeline.ops.topics import MIN_IN_SYNC, topic_specs
from pipeline.topic_limits import TIMESTAMPS

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


class Admin:
    """A managed cluster of three brokers that does not let us ask for configs."""

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        partition = {"replicas": [1, 2, 3], "leader": 1}
        return [{"topic": name, "partitions": [partition]} for name in names]

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        refused: list[Any] = [(29, "not authorized", 2, each.name, []) for each in resources]
        return [SimpleNamespace(resources=refused)]

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [1, 2, 3]}

    async def list_topics(self) -> list[str]:
        return [spec.name for spec in topic_specs(Settings())]

    async def create_topics(self, wanted: list[Any]) -> Any:
        return SimpleNamespace(topic_errors=[(each.name, TopicAlreadyExistsError.errno) for each in wanted])


@asynccontextmanager
async def conversation(*_: object) -> AsyncIterator[Admin]:
    yield Admin()


async def no_check(_: Settings) -> None:
    """Whoever is let in."""


async def test_what_a_broker_does_not_tell_is_said_and_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (durability, doctor_services):
        monkeypatch.setattr(module, "looking", conversation)
    found = [await durability.check_durability(Settings()), await doctor_services.check_topics(Settings())]
    assert [finding.ok for finding in found] == [True, True]
    for finding, name in zip(found, (MIN_IN_SYNC, TIMESTAMPS), strict=True):
        assert f"does not tell {name} of spanfold.events" in finding.found


async def test_topics_are_made_where_the_broker_does_not_tell_how_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_admin", conversation)
    monkeypatch.setattr(topics, "check_access", no_check)
    states = await topics.ensure_topics(Settings())
    assert [state.name for state in states] == [spec.name for spec in topic_specs(Settings())]
    assert all(f"does not tell {TIMESTAMPS}" in state.warning for state in states)
