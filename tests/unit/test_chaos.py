"""The harness that does faults: what it keeps running, what it writes, what it offers."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.faults.chaos.__main__ import main
from tests.faults.chaos.process import Kept
from tests.faults.chaos.report import write_page
from tests.faults.chaos.scenarios import IN_SHORT, SCENARIOS

SECONDS = 20.0


class Sleeper:
    """A process that does nothing, started as often as it is asked to."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.kept = Kept("sleeper", self.begin, lambda: None, self.pid)

    def begin(self) -> None:
        """One more."""
        self.started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]))

    def pid(self) -> int | None:
        """Of the newest, while it runs."""
        return self.started[-1].pid if self.started and self.started[-1].poll() is None else None


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    one = Sleeper()
    one.kept.up()
    yield one
    one.kept.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_killed_comes_back_and_is_not_blamed(sleeper: Sleeper) -> None:
    first = sleeper.kept.pid
    sleeper.kept.kill()
    sleeper.kept.wait_back()
    assert sleeper.kept.pid not in (None, first)
    assert sleeper.kept.ended == 0


def test_what_ends_by_itself_comes_back_and_is_counted(sleeper: Sleeper) -> None:
    sleeper.started[0].terminate()
    until(lambda: len(sleeper.started) == 2)
    assert sleeper.kept.ended == 1


def test_what_is_taken_down_stays_down_until_it_is_wanted(sleeper: Sleeper) -> None:
    sleeper.kept.down(SIGTERM)
    assert sleeper.kept.pid is None
    sleeper.kept.up()
    assert sleeper.kept.pid is not None
    assert len(sleeper.started) == 2
    assert sleeper.kept.ended == 0


def result(name: str, **verdict: Any) -> dict[str, Any]:
    none = {"events": 1_234, "records": 1_300, "lost": 0, "double": 0, "wrong": 0, "unevaluated": 0, "ledger": []}
    about = {
        "processor": "a processor", "cores": 2, "memory_gib": 8, "system": "Linux", "load": 0.5, "python": "3",
        "kafka": "4", "clickhouse": "26", "spanfold": "1",
    }  # fmt: skip
    return {
        "scenario": name, "fault": f"the fault {name}", "since": "its end", "seconds": 3.0, "recovery": 1.25, "sent": 1,
        "tried_again": 7, "ended": {}, "verdict": none | verdict, "failure": "", "at": "2026-11-25 20:00", "rate": 400,
        "fresh": 2.0, "machine": about,
    }  # fmt: skip


def test_the_page_has_a_line_for_each_fault_and_hides_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    results = {"a": result("a"), "b": result("b", lost=3), "c": result("c") | {"recovery": None, "failure": "late"}}
    write_page(page, results, ["a", "b", "c", "d"])
    text = page.read_text()
    a, b, c = [line for line in text.splitlines() if line.startswith("| the fault")]
    assert "| 1,234 | 7 | 0 | 0 | 0 | 0 | balanced | 0 | 1.2 s after its end |" in a
    assert "| 1,234 | 7 | 3 |" in b
    assert "not recovered" in c
    assert "1 of 3 without a loss" in text
    assert "Not measured: d." in text
    assert "a processor, 2 cores, 8 GiB" in text


def test_faults_have_names_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert len({scenario.name for scenario in (*SCENARIOS, IN_SHORT)}) == len(SCENARIOS) + 1
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(SCENARIOS)


def test_an_unknown_fault_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["earthquake"]) == 2
    assert "earthquake" in capsys.readouterr().err
