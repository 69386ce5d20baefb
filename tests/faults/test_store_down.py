"""ClickHouse dies by SIGKILL under load and comes back: nothing is lost or counted twice, no worker restarts."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.local.kafka import LocalKafka
from tests.fixtures.captures import produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import stored_ranges, wait_until_stored
from tests.fixtures.worker import Stack, WorkerProcess, new_stack

pytestmark = pytest.mark.stack

EVENTS = 34_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClickHouseProcess]:
    """A store of this test's own, to be killed."""
    server = ClickHouseProcess(tmp_path / "store")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stack(kafka: LocalKafka, store: ClickHouseProcess, tmp_path: Path) -> Iterator[Stack]:
    """Everything but the workers, on that store."""
    with closing(new_stack(kafka, store, tmp_path / "stack")) as running:
        yield running


def test_store_killed_under_load_loses_nothing(store: ClickHouseProcess, stack: Stack) -> None:
    records = list(create_update_traffic(EVENTS))
    worker = stack.worker()
    for part in range(4):
        produce(stack.settings, records[part::4])
        store.kill()
        store.start()
    wait_until_stored(stack, len(records))
    assert worker.process.poll() is None, "the worker waited, it did not restart"
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(records)
    assert stack.count("SELECT sum(new) FROM offset_ranges") == len(records)
    assert sum(last - first + 1 for first, last in stored_ranges(stack).values()) == len(records)
    assert worker.stop() == 0


@pytest.mark.parametrize("end", [WorkerProcess.stop, WorkerProcess.kill])
def test_what_waits_for_the_store_when_a_worker_ends_is_not_committed(
    store: ClickHouseProcess, stack: Stack, end: Callable[[WorkerProcess], int | None]
) -> None:
    """I2: a worker that stops in order, within its deadline, or dies, while its flush waits for the store."""
    records = list(create_update_traffic(EVENTS // 10))
    worker = stack.worker("first")
    produce(stack.settings, records[:500])
    wait_until_stored(stack, 500)
    store.kill()
    produce(stack.settings, records[500:])
    worker.wait_for_log("store_unavailable")
    assert not end(worker), "the exit code of an orderly stop is 0"
    store.start()
    stack.worker("second")
    wait_until_stored(stack, len(records))
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(records)
