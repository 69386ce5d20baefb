"""Logs: every line says which process wrote it, lines about a trace say which trace."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ops.logs import configure_logs

PACKAGE = Path(__file__).parents[2] / "pipeline"
METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
SPEAK = """
import logging, sys, structlog
from pipeline.config import Settings
from pipeline.ops.logs import configure_logs
configure_logs(Settings(log_format=sys.argv[1], instance_id=sys.argv[2]), "worker")
structlog.get_logger("ours").warning("flushed", project="p", trace="t", rows=3)
logging.getLogger("theirs").warning("told %s", "so")
try:
    raise ValueError("no")
except ValueError:
    structlog.get_logger("ours").exception("failed")
"""


def lines(log_format: str, instance: str) -> list[str]:
    command = [sys.executable, "-c", SPEAK, log_format, instance]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=PACKAGE.parent)
    assert said.stdout == ""
    return said.stderr.splitlines()


def test_every_line_names_role_and_instance_whoever_logs_it() -> None:
    ours, theirs, *_ = lines("text", "worker-7")
    assert ours.split(" ", 1)[1] == (
        "level=warning logger=ours event=flushed role=worker instance=worker-7 project=p trace=t rows=3"
    )
    assert ours.startswith("timestamp=20")
    assert "level=warning logger=theirs event=told so role=worker instance=worker-7" in theirs


def test_as_json_every_line_is_an_object() -> None:
    ours, theirs, failed = (json.loads(line) for line in lines("json", ""))
    assert (ours["event"], ours["project"], ours["trace"], ours["rows"]) == ("flushed", "p", "t", 3)
    assert theirs["event"] == "told so"
    assert "ValueError: no" in failed["exception"]
    for line in (ours, theirs, failed):
        assert line["role"] == "worker"
        assert line["instance"]
        assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(("field", "value"), [("log_format", "xml"), ("log_level", "loud")])
def test_a_wrong_setting_is_named(field: str, value: str) -> None:
    with pytest.raises(SettingError, match=value):
        configure_logs(Settings(**{field: value}), "worker")


def calls(path: Path) -> list[ast.Call]:
    """Calls of a logger in a file."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in METHODS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_line_about_a_trace_names_its_project_and_the_other_way_of_naming_is_not_used(path: Path) -> None:
    for call in calls(path):
        names = {keyword.arg for keyword in call.keywords}
        assert not names & {"trace_id", "project_id"}, f"line {call.lineno}: say project and trace"
        assert "trace" not in names or "project" in names, f"line {call.lineno}: which project's trace?"


EMBEDDED = PACKAGE / "local" / "clickhouse"  # the engine in a process of its own, which is no role
STACKS = PACKAGE / "metrics" / "heartbeat.py"  # the stacks of all threads, which are for people and many lines


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_line_is_an_event_with_its_values_by_name(path: Path) -> None:
    """A text with values in it can be read, not counted, nor searched for one of its values."""
    if path.is_relative_to(EMBEDDED) or path == STACKS:
        return
    for call in calls(path):
        assert len(call.args) == 1, f"line {call.lineno}: values by name"
        event = call.args[0]
        parts = event.values if isinstance(event, ast.JoinedStr) else [event]  # of fixed words
        for part in parts:
            if isinstance(part, ast.Constant):
                assert re.fullmatch(r"[a-z0-9_]+", str(part.value)), f"line {call.lineno}: {part.value!r} is no event"
            else:
                named = part.value if isinstance(part, ast.FormattedValue) else part
                assert isinstance(named, ast.Name | ast.Attribute | ast.IfExp), f"line {call.lineno}: no event"
