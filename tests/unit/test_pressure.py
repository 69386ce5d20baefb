"""Time that intake waits, counted while it lasts and when it is over."""

import asyncio

import pytest

from pipeline.metrics import Metric, Metrics, Role
from pipeline.stream.pressure import Pressure


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Role.WORKER)


async def test_who_need_not_wait_costs_no_time(clock: Clock, metrics: Metrics) -> None:
    pressure, event = Pressure(metrics, clock), asyncio.Event()
    event.set()
    await pressure.wait("store", event)
    assert metrics.value(Metric.BACKPRESSURE, "store") == 0
    assert pressure.waiting == set()


async def test_a_wait_is_counted_while_it_lasts_and_once(clock: Clock, metrics: Metrics) -> None:
    pressure, event = Pressure(metrics, clock), asyncio.Event()
    waits = asyncio.create_task(pressure.wait("store", event))
    await asyncio.sleep(0)
    assert pressure.waiting == {"store"}
    for passed in (10, 25):
        clock.now = 100.0 + passed
        pressure.count()
        assert metrics.value(Metric.BACKPRESSURE, "store") == passed
    clock.now = 130.0
    event.set()
    await waits
    pressure.count()
    assert metrics.value(Metric.BACKPRESSURE, "store") == 30
    assert metrics.value(Metric.BACKPRESSURE, "read_back") == 0
    assert pressure.waiting == set()


async def test_a_wait_that_is_given_up_is_counted_and_over(clock: Clock, metrics: Metrics) -> None:
    pressure = Pressure(metrics, clock)
    waits = asyncio.create_task(pressure.wait("read_back", asyncio.Event()))
    await asyncio.sleep(0)
    clock.now += 3
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert metrics.value(Metric.BACKPRESSURE, "read_back") == 3
    assert pressure.waiting == set()
