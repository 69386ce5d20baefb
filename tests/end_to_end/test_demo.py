"""`spanfold demo` as a user runs it: a stack of its own, real traffic, tables, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 280
STOPS_WITHIN = 30  # seconds
TABLES = ("Events in", "Rows out", "One trace", "Cost by model", "Scores", "Freshness", "Ask more")

DEMO = [sys.executable, "-m", "pipeline", "demo"]


def environment(scratch: Path) -> dict[str, str]:
    """A terminal of 80 columns; `scratch` is where scratch directories are made."""
    return {**os.environ, "COLUMNS": "80", "TMPDIR": str(scratch)}


def processes(scratch: Path) -> list[str]:
    """The command lines of running processes that name `scratch`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if str(scratch) in command:
            found.append(command.replace("\0", " "))
    return found


@pytest.mark.stack
@pytest.mark.timeout(SECONDS + 20)
def test_the_demo_shows_what_came_out_and_leaves_nothing(tmp_path: Path) -> None:
    ended = subprocess.run(DEMO, env=environment(tmp_path), capture_output=True, text=True, timeout=SECONDS)
    out = ended.stdout
    assert ended.returncode == 0, f"{ended.stderr[-3000:]}\n{out}"
    assert [title for title in TABLES if title not in out] == []
    assert max(map(len, out.splitlines())) <= 80
    told = re.search(
        r"([\d,]+) accepted = ([\d,]+) new \+ ([\d,]+) duplicate \+ ([\d,]+) rejected", " ".join(out.split())
    )
    assert told is not None
    accepted, new, duplicate, rejected = (int(number.replace(",", "")) for number in told.groups())
    assert accepted == new + duplicate + rejected
    assert new > 10_000
    assert duplicate > 0
    assert re.search(r"Kafka producer +10,000 +10,000 +0 +0", out)
    assert re.search(r"fast enough +eval +boolean +\d+", out)
    assert re.search(r"200 events/s +200 +\d+\.\d\d s +\d+\.\d\d s +\d+\.\d\d s +0", out)
    assert "unknown price" in out
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


@pytest.mark.stack
def test_ctrl_c_ends_the_demo_and_its_stack(tmp_path: Path) -> None:
    demo = subprocess.Popen(DEMO, env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
    assert demo.stderr is not None
    assert any("broker is ready" in line for line in demo.stderr)
    assert processes(tmp_path)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=STOPS_WITHIN)
    assert demo.returncode == 130
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
