"""The worker that benchmarks run on a simulated clock does what a worker does: all rows come out, none is wrong."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from pipeline.events.model import Micros
from pipeline.store import tables
from tests.bench import bench_giant, bench_versions
from tests.bench.simulated import PROJECT, batched, created, ended, simulated


class Newest:
    """Of each observation the newest row, and of each table how many rows."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.traces: dict[str, Any] = {}

    def insert(self, table: str, rows: Sequence[Any], now: Micros) -> None:
        if table == tables.OBSERVATIONS:
            self.rows |= {row.observation_id: row for row in rows}
        elif table == tables.TRACES:
            self.traces |= {row.trace_id: row for row in rows}


def test_short_observations_are_written_once_and_soon() -> None:
    shown = bench_versions.run(10, lambda _: 0.1)
    assert shown["versions per observation"] == "1.00"
    assert all(0.0 < float(wait) <= 0.41 for wait in shown["end seen"].split(" / "))


def test_traffic_for_versions_is_in_order_and_whole() -> None:
    events = bench_versions.trace(3, 100, lambda _: 0.5, Random(1))
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert len({event.said.id_ for event in events}) == 2 + bench_versions.GENERATIONS


@pytest.mark.parametrize("name", list(bench_giant.cases(1, 1)))
def test_a_giant_trace_comes_out_whole_when_most_of_it_was_let_go(name: str) -> None:
    case = bench_giant.cases(300, 150)[name]._replace(per_flush=40)
    stream, newest = bench_giant.Stream(case), Newest()
    with simulated(stream.again, newest.insert, trace_bytes=20_000) as (worker, do):
        for some in batched(stream, case.per_flush):
            do(worker.take(some))
            do(worker.tick())
        while worker.partition.open or worker.partition.unwritten:
            do(worker.tick())
        assert worker.figures().rows[tables.RAW_EVENTS] == len(list(stream))
        assert (worker.read_back_seconds > 0) or not case.trace_last
    assert len(newest.rows) == case.observations
    assert {row.user_id for row in newest.rows.values()} == {"user"}
    assert {row.name for row in newest.rows.values()} == {"step"}
    assert all(row.end_time and row.output for row in newest.rows.values())
    assert sum(row.observation_count for row in newest.traces.values()) == case.observations
    assert all(row.settled for row in newest.traces.values())


def test_the_clock_stands_still_between_flushes() -> None:
    newest = Newest()
    with simulated(sink=newest.insert) as (worker, do):
        do(worker.take([created("t", "o", None, 0), ended("t", "o", 5)]))
        do(worker.flush(worker.now))
        assert worker.partition.traces.keys() == {f"{PROJECT}/t".encode()}
        assert [row.latency_ms for row in newest.rows.values()] == [0.005]


def test_lists_of_so_many() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
