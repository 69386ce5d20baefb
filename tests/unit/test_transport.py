"""What a fetch brings that outlasts a rebalance is read again, never skipped."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from pipeline.stream import exits, transport
from pipeline.stream.exits import StopError
from pipeline.stream.membership import Membership
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.progress import Progress
from pipeline.stream.transport import ChunkConsumer


async def nobody() -> set[str]:
    return set()


class Consumer(ChunkConsumer):
    """Its fetch is the test's; Faust's start is left out."""

    should_stop = False

    def __init__(self) -> None:
        monitor = SimpleNamespace(track_tp_end_offset=lambda *_: None)
        self.app: Any = SimpleNamespace(consumer_generation_id=3, monitor=monitor)
        self._membership = Membership("", 10.0, nobody)
        self._trackers = {}
        self._progress, self._ends = Progress(), {}
        self._thread: Any = SimpleNamespace(seek_to_beginning=self._to_beginning)
        self.flow_active = True
        self.seeks: list[int] = []  # generations in which it went back to the committed offsets
        self.seek_fails = 0
        self.begun: list[Any] = []  # partitions that were read from the beginning again
        self.committed = {TP("events", 0): 3, TP("events", 1): 4}
        self.assigned = {TP("events", 0), TP("events", 1)}
        self.during_fetch: Any = lambda: None

    async def _wait_next_records(self, timeout: float) -> Any:
        self.during_fetch()
        records = [SimpleNamespace(offset=offset, timestamp=1) for offset in (5, 6)]
        return {TP("events", 0): records, TP("events", 1): records}, None

    async def perform_seek(self) -> None:
        if self.seek_fails:
            self.seek_fails -= 1
            raise KafkaConnectionError
        self.seeks.append(self.app.consumer_generation_id)
        self._committed_offset = dict(self.committed)

    async def _to_beginning(self, *partitions: Any) -> None:
        self.begun += [tuple(each) for each in partitions]

    def assignment(self) -> Any:
        return self.assigned

    def highwater(self, tp: Any) -> int:
        return 7

    async def delivered(self, between: Any = lambda: None) -> list[tuple[int, int]]:
        found = []
        async for tp, message in self.getmany(1.0):
            found.append((tp.partition, message.offset))
            between()
        return found


async def test_lag_is_known_from_what_was_committed_and_delivered_once_the_broker_was_asked() -> None:
    consumer = Consumer()
    consumer._thread._consumer = None
    await consumer.look_up_ends()  # there is no consumer yet
    assert consumer.lags() == {}

    async def ends(*partitions: Any) -> dict[TP, int]:
        return dict.fromkeys(partitions, 100)

    consumer._thread._consumer, consumer.highwaters = object(), ends  # type: ignore[method-assign]
    await consumer.perform_seek()
    await consumer.look_up_ends()
    lags = {tp.partition: lag.records for tp, lag in consumer.lags().items()}
    assert lags == {0: 100 - 3, 1: 100 - 4}
    await consumer.delivered()
    assert all(lag.seconds > 1e6 for lag in consumer.lags().values())  # these records are of 1970
    gone = {TopicPartition("events", 0)}
    consumer._forget(gone)
    assert consumer.lags().keys() == {TopicPartition("events", 1)}


async def test_records_are_delivered_as_chunks() -> None:
    consumer = Consumer()
    assert await consumer.delivered() == [(0, 6), (1, 6)]
    assert consumer.seeks == []


def rebalance(consumer: Consumer) -> None:
    consumer.app.consumer_generation_id += 1


def stop_flow(consumer: Consumer) -> None:
    consumer.flow_active = False


@pytest.mark.parametrize(("event", "generation"), [(rebalance, 4), (stop_flow, 3)])
async def test_what_a_fetch_brings_after_a_rebalance_began_is_read_again(event: Any, generation: int) -> None:
    consumer = Consumer()
    consumer.during_fetch = lambda: event(consumer)
    assert await consumer.delivered() == []
    assert (consumer.seeks, consumer.begun) == ([generation], [])
    assert consumer._trackers == {}


@pytest.mark.parametrize("committed", [{TP("events", 0): 0}, {}])
async def test_a_partition_of_which_nothing_was_committed_is_read_from_its_beginning(committed: dict[Any, int]) -> None:
    consumer = Consumer()
    consumer.committed = committed | {TP("events", 1): 4}
    consumer.during_fetch = lambda: stop_flow(consumer)
    assert await consumer.delivered() == []
    assert (consumer.seeks, consumer.begun) == ([3], [("events", 0)])


async def test_where_nothing_is_assigned_any_more_there_is_nothing_to_go_back_to() -> None:
    consumer = Consumer()
    consumer.assigned = set()
    consumer.during_fetch = lambda: stop_flow(consumer)
    assert await consumer.delivered() == []
    assert consumer.seeks == []


@pytest.mark.parametrize("event", [rebalance, stop_flow])
async def test_a_rebalance_between_two_chunks_of_a_fetch_has_the_second_read_again(event: Any) -> None:
    consumer = Consumer()
    assert await consumer.delivered(between=lambda: event(consumer)) == [(0, 6)]
    assert len(consumer.seeks) == 1


async def test_going_back_is_tried_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SEEK_AGAIN", 0.0)
    consumer = Consumer()
    consumer.during_fetch, consumer.seek_fails = (lambda: stop_flow(consumer)), 3
    assert await consumer.delivered() == []
    assert (consumer.seeks, consumer.seek_fails) == ([3], 0)


async def test_a_consumer_that_stops_goes_nowhere() -> None:
    consumer = Consumer()

    def stop() -> None:
        stop_flow(consumer)
        consumer.should_stop = True

    consumer.during_fetch = stop
    assert await consumer.delivered() == []
    assert consumer.seeks == []


@pytest.mark.parametrize("hosts", [set(), {"10.0.0.7"}])
async def test_a_worker_ends_for_a_twin_and_goes_on_after_a_cut(
    hosts: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka says "member unknown" in both cases; the group tells who has the membership."""

    async def ask() -> set[str]:
        return hosts

    said: list[str] = []
    monkeypatch.setattr(transport, "refuse", lambda _, complaint: said.append(complaint))
    consumer = Consumer()
    consumer._membership = Membership("worker-1", 10.0, ask)
    consumer._thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(member_id=""))
    for _ in range(2):
        consumer._is_member = True
        await consumer._look_for_a_twin()
    assert len(said) == len(hosts)
    assert all("'worker-1' (at 10.0.0.7)" in each for each in said)


class Listener:
    """Fails whatever it is told."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def partitions_revoked(self, *_: Any) -> None:
        raise self.error

    async def partitions_assigned(self, *_: Any) -> None:
        raise self.error


class Ended(BaseException):
    """The process."""


@pytest.mark.parametrize("what", ["on_partitions_revoked", "on_partitions_assigned"])
@pytest.mark.parametrize("error", [ZeroDivisionError(), StopError("a bad deploy", remedy="go back")])
async def test_a_listener_that_fails_ends_the_process_for_kafkas_client_would_go_on(
    what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any) -> None:
        raise Ended

    monkeypatch.setattr(exits, "halt" if isinstance(error, StopError) else "die", end)
    consumer = Consumer()
    consumer._listener, consumer._revoke_deadline, consumer._is_member = Listener(error), 1.0, False
    consumer._thread._consumer, consumer.stop_flow = None, lambda: None  # type: ignore[method-assign]
    with pytest.raises(Ended):
        await getattr(consumer, what)({TP("events", 0)})


async def test_a_question_for_a_twin_that_fails_does_not_skip_the_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> set[str]:
        raise IndexError

    def end(*_: Any) -> None:
        raise Ended

    monkeypatch.setattr(exits, "die", end)
    consumer = Consumer()
    consumer._membership = Membership("worker-1", 10.0, ask)
    consumer._membership.lost(asyncio.get_running_loop().time())
    consumer._thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(member_id=""))
    consumer._is_member, consumer._revoke_deadline = True, 1.0
    with pytest.raises(Ended):
        await consumer.on_partitions_revoked({TP("events", 0)})
