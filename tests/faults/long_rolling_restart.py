"""The long form of a rolling restart: four workers under load, one after the other; name this file to run it.

Nothing is lost, and no event waits longer than a restart takes on a busy machine. The figures are in docs/scaling.md.
"""

from pathlib import Path

import pytest

from pipeline.local.kafka import LocalKafka
from tests.bench.bench_rolling import lost, restart_all
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.worker import new_stack

pytestmark = pytest.mark.stack

WORKERS = 4
LONGEST = 15.0  # seconds


@pytest.mark.parametrize("static", [True, False])
def test_a_rolling_restart_loses_nothing_and_shows_no_long_gap(
    kafka: LocalKafka, clickhouse: ClickHouseProcess, tmp_path: Path, static: bool
) -> None:
    stack = new_stack(kafka, clickhouse, tmp_path / "stack")
    watched, _, began = restart_all(stack, WORKERS, static=static)
    assert "".join(lost(watched, began)) == ""
    assert max(seconds for _, seconds in watched.fresh) < LONGEST
    stack.close()
