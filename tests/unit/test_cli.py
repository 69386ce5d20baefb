"""The command line as a program: help, exit codes, and errors that are one block without a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import __version__
from pipeline.cli import app

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)


def spanfold(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program with no SPANFOLD_* but those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPANFOLD_", "LANGFUSE_"))}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**inherited, **variables},
    )


def test_the_commands_of_the_contract_are_there() -> None:
    promised = {"up", "demo", "ingest", "worker", "evaluate", "migrate", "topics", "lag", "sql", "check-config"}
    assert promised | {"doctor", "bench"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    outcome = CliRunner().invoke(app, [command, "--help"])
    assert outcome.exit_code == 0
    assert "Example" in outcome.output
    assert f"spanfold {command}" in " ".join(outcome.output.split())


def test_the_version_is_told() -> None:
    assert spanfold("--version").stdout == f"spanfold {__version__}\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    assert spanfold("no-such-command").returncode == 2


def test_help_does_not_load_the_rooms() -> None:
    program = (
        "import sys, pipeline.cli; print([m for m in ('faust', 'chdb', 'aiokafka', 'fastapi') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert outcome.stdout == "[]\n"


def test_a_wrong_setting_is_one_block_and_wrong_usage(tmp_path: Path) -> None:
    outcome = spanfold("lag", SPANFOLD_HTTP_PORT="http", SPANFOLD_DATA_DIR=str(tmp_path))
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("spanfold: SPANFOLD_HTTP_PORT: ")
    assert "\n  -> " in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_naming_a_directory_where_nothing_runs_fails_with_a_remedy(tmp_path: Path) -> None:
    outcome = spanfold("sql", "SELECT 1", "--data", str(tmp_path))
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"spanfold: No stack is running in {tmp_path}.\n  -> Start one: spanfold up --data {tmp_path}\n"
    )


def test_up_on_a_taken_port_names_it_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        outcome = spanfold("up", "--data", str(tmp_path), "--port", port)
    assert outcome.returncode == 1
    assert f"Port {port} is in use" in outcome.stderr
    assert "--port PORT" in outcome.stderr
    assert not (tmp_path / "stack.json").exists()


def test_check_config_exits_2_when_a_setting_is_wrong_and_0_when_all_are_right(tmp_path: Path) -> None:
    wrong = spanfold("check-config", SPANFOLD_FLUSH_EVENTS="many", SPANFOLD_DATA_DIR=str(tmp_path))
    assert wrong.returncode == 2
    assert "wrong: SPANFOLD_FLUSH_EVENTS" in wrong.stdout
    assert spanfold("check-config", SPANFOLD_DATA_DIR=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--json",), ("--grow", "0"), ("--grow", "many")])
def test_growing_topics_takes_a_number(arguments: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(app, ["topics", *arguments])
    assert outcome.exit_code == 2
    assert "--grow" in outcome.output
