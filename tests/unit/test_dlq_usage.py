"""What the dead-letter commands refuse before they touch anything, how they pace themselves, what they print."""

import asyncio

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SettingError
from pipeline.ops.dlq.letters import Choice, is_id, sql
from pipeline.ops.dlq.replay import Pace, Report
from pipeline.ops.dlq.show import print_report

WRONG = {
    ("replay",): "Nothing says which dead letters are meant",
    ("replay", "--dry-run"): "Nothing says which dead letters are meant",
    ("discard", "--note", "x"): "Nothing says which dead letters are meant",
    ("ls", "--reason", "nope"): "--reason is 'nope'",
    ("ls", "--state", "closed"): "--state is 'closed'",
    ("ls", "--from", "yesterday"): "--from is 'yesterday'",
    ("discard", "--to", "2026-13-01"): "--to is '2026-13-01'",
    ("ls", "--to", "9999-12-31T23:59:59-01:00"): "--to is '9999-12-31T23:59:59-01:00'",
    ("ls", "--from", "0001-01-01T00:00:00+01:00"): "--from is '0001-01-01T00:00:00+01:00'",
    ("show", "17"): "'17' is no dead letter's id",
    ("replay", "events/1/2 OR 1"): "is no dead letter's id",
    ("replay", "events/1"): "is no dead letter's id",
}


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_is_told_before_anything_is_touched(arguments: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(app, ["dlq", *arguments], env={"SPANFOLD_CLICKHOUSE_URL": "http://127.0.0.1:1"})
    assert isinstance(outcome.exception, SettingError), "exit code 2"
    assert WRONG[arguments] in str(outcome.exception)
    assert outcome.exception.remedy


@pytest.mark.parametrize("command", ["ls", "show", "replay", "discard"])
def test_every_command_has_an_example(command: str) -> None:
    outcome = CliRunner().invoke(app, ["dlq", command, "--help"])
    assert outcome.exit_code == 0
    assert "Example" in outcome.stdout


def test_ids_have_three_parts() -> None:
    assert all(is_id(text) for text in ("spanfold.events/0/0", "a-b_c/12/99999999999"))
    assert not any(is_id(text) for text in ("", "/0/0", "events", "events/0", "events/x/0", "events/0/-1", "e v/0/0"))


def test_a_choice_of_nothing_is_every_letter_at_any_time() -> None:
    told = Choice().parameters()
    assert (told["ids"], told["reason"], told["any_project"], told["state"]) == ("", "", 1, "any")
    nobodys = Choice(project="").parameters()
    assert (nobodys["any_project"], nobodys["project"]) == (0, ""), "letters whose project nothing tells"


class Clock:
    """Stands still, but for sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_rate_is_kept_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(50.0, lambda: clock.now)
    parts = pace.slices(list(range(100)))  # type: ignore[arg-type]
    assert {len(part) for part in parts} == {5}
    for part in parts:
        await pace.wait(len(part))
    assert clock.now - 100.0 == pytest.approx(2.0)


async def test_without_a_rate_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(0.0, lambda: clock.now)
    assert [len(part) for part in pace.slices(list(range(100)))] == [100]  # type: ignore[arg-type]
    await pace.wait(100)
    assert clock.now == 100.0
    assert pace.slices([]) == []


async def test_a_rate_below_one_is_a_letter_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(0.5, lambda: clock.now)
    assert [len(part) for part in pace.slices([1, 2])] == [1, 1]  # type: ignore[list-item]
    await pace.wait(1)
    assert clock.now - 100.0 == pytest.approx(2.0)


def test_a_report_says_what_stays_open_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Report(10, 7, 2, 1), as_json=False)
    told = capsys.readouterr().out
    assert "7 of 10 dead letters were sent again" in told
    assert "2 came from topics that are not read here" in told
    assert "1 are too large" in told


def test_no_name_of_a_project_means_all_of_them() -> None:
    some, every = Choice(project="*").parameters(), Choice().parameters()
    assert (some["any_project"], some["project"]) == (0, "*")
    assert every["any_project"] == 1
    assert "'*'" not in sql("discard"), "`dlq discard --project '*'` would discard everybody's"
