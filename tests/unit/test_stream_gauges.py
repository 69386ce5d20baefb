"""What workers and evaluators show as it is at the moment: lag, what partitions hold, a store that is silent."""

import asyncio
from array import array
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaError

from pipeline.metrics import Metric, Metrics, Role
from pipeline.stream.gauges import Gauges, show_partitions
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.progress import Lag
from pipeline.stream.store_watch import LONGEST_SILENCE, StoreWatch
from tests.unit.collecting import Worker


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Role.WORKER)


class Behind:
    """A consumer whose look-ups have these ends, or fail."""

    def __init__(self, *answers: Exception | None) -> None:
        self.found: dict[TopicPartition, Lag] = {}
        self.answers = iter(answers)
        self.asked = asyncio.Event()

    async def look_up_ends(self) -> None:
        self.asked.set()
        if (error := next(self.answers, None)) is not None:
            raise error

    def lags(self) -> dict[TopicPartition, Lag]:
        return self.found


def test_lag_is_shown_for_the_partitions_that_are_there(metrics: Metrics) -> None:
    behind = Behind()
    gauges = Gauges(metrics, behind, lambda: None)
    behind.found = {TopicPartition("t", 0): Lag(5, 1.5), TopicPartition("t", 1): Lag(0, 0.0)}
    gauges.show_lag()
    assert (metrics.value(Metric.LAG, "t", "0"), metrics.value(Metric.LAG_SECONDS, "t", "0")) == (5, 1.5)
    del behind.found[TopicPartition("t", 0)]
    gauges.show_lag()
    assert 'spanfold_lag_records{partition="0",topic="t"}' not in metrics.text().decode()
    assert 'spanfold_lag_records{partition="1",topic="t"} 0.0' in metrics.text().decode()


@pytest.mark.parametrize("error", [KafkaError("no"), TimeoutError(), RuntimeError("Event loop is closed")])
async def test_a_look_up_that_fails_ends_nothing(metrics: Metrics, error: Exception) -> None:
    gauges = Gauges(metrics, Behind(error), lambda: None)
    await gauges.ask()
    await gauges.ask()


async def test_a_broker_that_hangs_keeps_no_other_figure_waiting(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stream.gauges.EVERY", 0.01)
    behind, looks = Behind(), asyncio.Queue[None]()
    never = asyncio.Event()
    behind.look_up_ends = never.wait  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(Gauges(metrics, behind, lambda: looks.put_nowait(None)).run())
    async with asyncio.timeout(10):
        await looks.get()
        behind.found = {TopicPartition("t", 0): Lag(1, 9.0)}
        await looks.get()
    assert not task.done()
    task.cancel()


def test_what_partitions_hold_is_shown_in_sum(metrics: Metrics) -> None:
    worker = Worker()
    worker.span("a")
    worker.partition.known.replace(array("Q", [1, 2, 3]))
    show_partitions(metrics, [worker.partition])
    assert metrics.value(Metric.PARTITIONS) == metrics.value(Metric.OPEN) == metrics.value(Metric.RESIDENT) == 1
    assert metrics.value(Metric.UNWRITTEN) == 1
    assert metrics.value(Metric.RESIDENT_BYTES) == worker.partition.size > 0
    assert metrics.value(Metric.KNOWN) == 3
    show_partitions(metrics, [])
    assert metrics.value(Metric.OPEN) == 0


def test_a_store_that_is_silent_for_long_is_complained_about(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("pipeline.stream.store_watch.time", SimpleNamespace(monotonic=lambda: now))
    answers = iter([OSError("down"), None])

    def command(_: str) -> None:
        if (error := next(answers)) is not None:
            raise error

    watch = StoreWatch(SimpleNamespace(command=command), metrics)  # type: ignore[arg-type]
    assert watch.complaint() == ""
    now += LONGEST_SILENCE + 1
    watch.ask()
    watch.show()
    assert "31 s" in watch.complaint()
    assert metrics.value(Metric.STORE_SILENCE) == 31
    watch.ask()
    assert watch.complaint() == ""
