"""How commands find a running stack, the lock of a data directory, the ports of a plan, and the keys that are kept."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config import Settings
from pipeline.errors import MissingPrerequisiteError, SettingError, SpanfoldError
from pipeline.local import up
from pipeline.local.lock import stack_lock
from pipeline.local.plan import plan_metrics_ports, plan_ports
from pipeline.local.ports import find_free_ports
from pipeline.local.project import ProjectKeys, read_project, write_project
from pipeline.local.roles import worker_role
from pipeline.local.stack import FILE, Stack, find_settings, load_settings, running_stack, write_stack
from pipeline.local.up import stack_fields


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No SPANFOLD_* of the caller, and a data directory of the test's own."""
    for name in list(os.environ):
        if name.startswith(("SPANFOLD_", "LANGFUSE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SPANFOLD_DATA_DIR", str(tmp_path))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def stack_in(data: Path, pid: int | None = None) -> Stack:
    fields = {"data_dir": str(data), "kafka_bootstrap": "127.0.0.1:1", "clickhouse_url": "http://127.0.0.1:2"}
    return Stack(
        http="http://127.0.0.1:3", clickhouse="http://127.0.0.1:2", kafka="127.0.0.1:1", data=str(data), project_id="p",
        public_key="pk", secret_key="sk", pid=pid or os.getpid(), settings=fields,
    )  # fmt: skip


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_a_written_stack_is_found_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write_stack(stack_in(tmp_path))
    assert running_stack(tmp_path) == stack_in(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_killed_stack_whose_process_id_somebody_else_has_by_now_is_none(tmp_path: Path) -> None:
    write_stack(stack_in(tmp_path))
    with stack_lock(tmp_path):
        assert running_stack(tmp_path) == stack_in(tmp_path)
    assert running_stack(tmp_path) is None
    with stack_lock(tmp_path):  # asking has left nothing locked
        pass


def test_what_a_killed_stack_left_is_gone_before_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stack(stack_in(tmp_path))

    def starting(*_: object) -> None:
        assert running_stack(tmp_path) is None
        raise SpanfoldError("far enough")

    monkeypatch.setattr(up, "plan_ports", starting)
    with pytest.raises(SpanfoldError, match="far enough"):
        up.run_up(up.UpOptions(data=tmp_path), lambda _: pytest.fail("not reached"), lambda _: None, lambda _: None)


def test_the_file_holds_what_up_prints(tmp_path: Path) -> None:
    write_stack(stack_in(tmp_path))
    announced = stack_in(tmp_path).announcement()
    assert list(announced) == [
        "event", "http", "grpc", "clickhouse", "kafka", "data", "project_id", "public_key", "secret_key",
        "metrics",
    ]  # fmt: skip
    assert announced["event"] == "ready"
    assert announced.items() <= json.loads((tmp_path / FILE).read_text()).items()


def test_the_file_of_a_killed_stack_counts_as_none(tmp_path: Path) -> None:
    write_stack(stack_in(tmp_path, dead_pid()))
    assert running_stack(tmp_path) is None


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(SpanfoldError, match=FILE):
        running_stack(tmp_path)


def test_commands_use_the_stack_that_runs_in_the_data_directory(tmp_path: Path) -> None:
    write_stack(stack_in(tmp_path))
    for settings in (find_settings(tmp_path), find_settings(None)):
        assert (settings.kafka_bootstrap, settings.clickhouse_url) == ("127.0.0.1:1", "http://127.0.0.1:2")


def test_an_environment_that_names_a_broker_means_that_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stack(stack_in(tmp_path))
    monkeypatch.setenv("SPANFOLD_KAFKA_BOOTSTRAP", "kafka:9092")
    settings = find_settings(None)
    assert (settings.kafka_bootstrap, settings.clickhouse_url) == ("kafka:9092", "http://localhost:8123")
    assert find_settings(tmp_path).kafka_bootstrap == "127.0.0.1:1"


def test_naming_a_directory_where_nothing_runs_is_an_error_that_tells_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(SpanfoldError, match=f"spanfold up --data {tmp_path}"):
        find_settings(tmp_path)
    assert find_settings(tmp_path, must_run=False).data_dir == tmp_path


def test_wrong_settings_are_told_all_at_once_by_their_variables() -> None:
    with pytest.raises(SettingError, match=r"SPANFOLD_HTTP_PORT: (.*)SPANFOLD_FLUSH_EVENTS: "):
        load_settings(http_port="http", flush_events=0)


def test_a_stack_hands_its_own_settings_to_its_roles(tmp_path: Path) -> None:
    own = Settings(topic_prefix="mine", init_project_secret_key=SecretStr("sk-1"))
    fields = stack_fields(own, tmp_path, plan_ports(own, 0, None, None))
    assert (fields["topic_prefix"], fields["init_project_secret_key"]) == ("mine", "sk-1")
    assert fields["data_dir"] == str(tmp_path)
    assert fields["kafka_bootstrap"].startswith("127.0.0.1:")


def test_a_second_stack_on_one_directory_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    with stack_lock(tmp_path), pytest.raises(SpanfoldError, match=f"process {os.getpid()}"), stack_lock(tmp_path):
        pass
    with stack_lock(tmp_path):
        pass


def test_port_zero_means_a_free_port_for_everything() -> None:
    ports = plan_ports(Settings(), 0, None, None)
    numbers = (ports.http, ports.grpc, ports.clickhouse, ports.kafka, ports.controller)
    assert len(set(numbers)) == 5
    assert 0 not in numbers


def test_the_port_of_grpc_can_be_set_and_switched_off() -> None:
    assert plan_ports(Settings(grpc_port=-1), 0, None, None).grpc == -1
    assert plan_ports(Settings(grpc_port=45679), 0, None, None).grpc == 45679
    assert plan_ports(Settings(), 0, None, None, 45680).grpc == 45680


def test_each_port_can_be_chosen_alone(taken_port: int) -> None:
    ports = plan_ports(Settings(), 0, 45678, None)
    assert ports.clickhouse == 45678
    assert ports.kafka != 9092


def test_a_taken_port_is_named_with_the_option_that_changes_it(taken_port: int) -> None:
    with pytest.raises(MissingPrerequisiteError, match=rf"Port {taken_port} .*--kafka-port"):
        plan_ports(Settings(), 0, None, taken_port)


def test_keys_are_kept_for_the_next_start_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    assert read_project(tmp_path) is None
    write_project(tmp_path, ProjectKeys("p", "pk", "sk"))
    assert read_project(tmp_path) == ProjectKeys("p", "pk", "sk")
    assert stat.S_IMODE((tmp_path / "project.json").stat().st_mode) == 0o600
    assert "sk" not in repr(read_project(tmp_path))


def test_each_process_shows_its_metrics_on_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(plan_metrics_ports(load_settings(), 4))) == 4
    first, *_ = find_free_ports(1)
    monkeypatch.setenv("SPANFOLD_METRICS_PORT", str(first))
    assert plan_metrics_ports(load_settings(), 1) == [first]
    monkeypatch.setenv("SPANFOLD_METRICS_PORT", "-1")
    assert plan_metrics_ports(load_settings(), 2) == [-1, -1]


def test_a_taken_port_for_metrics_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, taken_port: int
) -> None:
    monkeypatch.setenv("SPANFOLD_METRICS_PORT", str(taken_port))
    with pytest.raises(MissingPrerequisiteError, match=str(taken_port)):
        plan_metrics_ports(load_settings(), 1)


def test_roles_get_ports_for_metrics_and_commands_do_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPANFOLD_METRICS_PORT", "9464")
    settings = load_settings()
    fields = stack_fields(settings, tmp_path, plan_ports(settings, 0, None, None))
    assert "metrics_port" not in fields
    assert worker_role(1, fields, tmp_path, 9465).env["SPANFOLD_METRICS_PORT"] == "9465"
