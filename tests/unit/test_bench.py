"""The benchmark's traffic, its arithmetic, and the stages that a worker counts."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from pipeline.events.decode import decode_record
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.ops.bench.figures import BenchError, Cost, middle, read_cost, spread
from pipeline.ops.bench.report import Measured, print_json, print_tables
from pipeline.ops.bench.traffic import EVENTS_PER_TRACE, OBSERVATIONS, Outgoing, traffic, whole_traces
from pipeline.stream.stages import PROFILE_STAGES, Stages, stages_from_environment, threads_time


def decoded(record: Outgoing) -> Event:
    (event,) = decode_record(Record("t", 0, 0, Micros(1), record.key, record.value, record.headers), 10_000)
    return event


def test_traffic_is_whole_traces_of_events_that_decode() -> None:
    events = [decoded(record) for record in traffic(100)]
    assert len(events) == whole_traces(100) == 102
    kinds = Counter((event.trace_id, event.kind) for event in events)
    assert set(kinds.values()) == {1, 2 * OBSERVATIONS}
    generations = [event for event in events if event.fields.get("model") == "gpt-4o"]
    assert len(generations) == (OBSERVATIONS - 1) * 6
    assert sum("usage" in event.fields for event in events) == len(generations)
    assert all(event.kind is Kind.OBSERVATION for event in generations)


def test_traffic_is_about_a_thousand_bytes_an_event_and_always_the_same() -> None:
    records = list(traffic(1_000))
    assert 950 <= sum(len(record.value) for record in records) / len(records) <= 1_050
    assert records == list(traffic(1_000))


def test_open_traces_take_turns_over_the_same_events() -> None:
    apart, mixed = list(traffic(170)), list(traffic(170, open_traces=10))
    assert sorted(apart) == sorted(mixed)
    assert len({record.key for record in mixed[:10]}) == 10
    assert len({record.key for record in apart[:EVENTS_PER_TRACE]}) == 1
    ids = [orjson.loads(record.value)["id"] for record in mixed]
    assert len(set(ids)) == len(ids)


def test_cost_is_what_was_used_between_ready_and_the_last_flush(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json"
    marks = {"ready": {"process": 2.0, "store": 0.5}, "flushed": {"process": 12.0, "store": 3.5}, "peak_bytes": 5}
    path.write_text(json.dumps({**marks, "stages": {"fold": 2.0, "decode": 4.0}}))
    cost = read_cost(path, 1_000_000)
    assert cost == Cost(10.0, {"framework": 1.0, "decode": 4.0, "fold": 2.0, "store": 3.0}, 5)
    assert list(cost.stages) == ["framework", "decode", "fold", "store"]
    assert sum(cost.stages.values()) == cost.total


@pytest.mark.parametrize("content", [None, "", "{}", '{"ready": {"process": 1, "store": 1}}'])
def test_figures_that_are_missing_are_an_error_and_not_a_zero(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "cpu.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BenchError, match=r"cpu\.json"):
        read_cost(path, 1)


def test_the_middle_run_is_a_run() -> None:
    runs = [Cost(total, {}, 0) for total in (30.0, 10.0, 20.0, 40.0)]
    assert middle(runs).total == 20.0
    assert middle(runs[:1]).total == 30.0
    assert spread(runs) == (10.0, 25.0, 40.0)


def test_json_has_the_promised_names(capsys: pytest.CaptureFixture[str]) -> None:
    worker, plain = Cost(50.0, {"decode": 30.0, "store": 20.0}, 2**20), Cost(400.0, {}, 0)
    print_json(Measured(1_700, 10, 1_000.4, [worker], 340, [plain]))
    said = json.loads(capsys.readouterr().out)
    assert said["worker_cpu_us_per_event"] == 50.0
    assert said["events"] == 1_700
    assert said["stages"] == {"decode": 30.0, "store": 20.0}
    assert said["events_per_cpu_second"] == 20_000
    assert said["plain_faust_ratio"] == 8.0
    assert {"processor", "cores", "memory_gib", "python", "load"} <= said["machine"].keys()


def test_tables_say_how_it_compares_with_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables(Measured(1_700, 10, 1_000.0, [Cost(50.0, {"decode": 50.0}, 2**20)]))
    said = capsys.readouterr().out
    assert "20,000 events per second and core; the goal is 40,000 (25 µs)" in said
    assert "Faust agent" not in said


def test_stages_that_are_off_measure_and_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROFILE_STAGES, raising=False)
    stages = stages_from_environment()
    with stages.stage("decode") as nothing:
        assert nothing is None
    stages.ready()
    stages.flushed()
    stages.write()
    assert stages.stage("decode") is stages.stage("fold")


def test_stages_add_up_what_their_blocks_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpu.json"
    monkeypatch.setenv(PROFILE_STAGES, str(path))
    stages = stages_from_environment()
    stages.ready()
    for _ in range(2):
        with stages.stage("fold"):
            use_cpu(0.02)
    stages.flushed()
    stages.write()
    said = json.loads(path.read_text())
    used = said["flushed"]["process"] - said["ready"]["process"]
    assert 0.04 <= said["stages"]["fold"] <= used
    assert said["peak_bytes"] > 2**20


def test_time_of_threads_is_told_by_their_name() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="measured") as threads:
        threads.submit(use_cpu, 0.02).result()
        assert 0.02 <= threads_time("measured") < threads_time("")
    assert threads_time("measured") == 0


def test_a_block_that_fails_is_counted_too(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "cpu.json")
    with pytest.raises(ValueError, match="no"), stages.stage("fold"):
        use_cpu(0.01)
        raise ValueError("no")
    stages.write()
    assert json.loads((tmp_path / "cpu.json").read_text())["stages"]["fold"] >= 0.01


def use_cpu(seconds: float) -> None:
    """Keep this thread busy for so much CPU time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
