"""What the demo prints: complete at 80 columns and at 120, unknown prices never as 0."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.demo.report import print_outcome, print_questions
from pipeline.demo.show import Row
from pipeline.demo.steps import Steps
from tests.fixtures.demo import ACCOUNT, TREE, outcome

WIDTHS = pytest.mark.parametrize("width", [80, 120])


def printed(width: int = 80, **changes: object) -> str:
    console = Console(file=StringIO(), width=width)
    print_outcome(outcome(ACCOUNT._replace(**changes)), console)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


@WIDTHS
def test_every_part_is_there_and_fits(width: int) -> None:
    text = printed(width)
    for title in ("Events in", "Rows out", "One trace", "Cost by model", "Scores", "Freshness"):
        assert title in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_the_steps_of_a_trace_line_up_at_any_depth() -> None:
    lines = [line for line in printed().splitlines() if line.lstrip("│ ").startswith(("├── ", "└── "))]
    assert len(lines) == 4
    ends = {line.index(kind) for line, kind in zip(lines, ("agent", "chain", "tool", "generation"), strict=True)}
    assert len(ends) == 1


@pytest.mark.parametrize("steps", [[], TREE[1:]])
def test_a_trace_with_missing_steps_does_not_hide_the_verdict(steps: list[Row]) -> None:
    found = outcome()
    console = Console(file=StringIO(), width=80)
    print_outcome(found._replace(pictures=found.pictures._replace(tree=steps)), console)
    assert "One trace" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "accepted =" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_step_and_a_model_without_price_say_so() -> None:
    text = printed()
    assert text.count("unknown price") == 2
    assert "$0.00" not in text


def test_duplicates_and_the_sum_are_shown() -> None:
    text = printed()
    assert "13 accepted = 10 new + 2 duplicate + 1 rejected" in text


def test_scores_that_have_not_come_are_admitted() -> None:
    assert "2 of 3 chosen" in " ".join(printed().split())


def test_a_difference_takes_the_place_of_the_verdict() -> None:
    text = printed(rows=ACCOUNT.rows._replace(traces=1))
    assert "does not add up: 2 traces sent, 1 in the view" in text
    assert "accepted =" not in text


def test_questions_name_the_directory_of_a_stack_that_stays() -> None:
    console = Console(file=StringIO(), width=80)
    print_questions(Path("/scratch/demo"), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert text.count('spanfold sql "SELECT') == text.count('" --data /scratch/demo\n') == 5
    assert "--keep" not in text


def test_without_a_stack_the_way_to_keep_one_is_told() -> None:
    console = Console(file=StringIO(), width=80)
    print_questions(None, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "spanfold demo --keep" in text
    assert max(map(len, text.splitlines())) <= 80


def test_steps_are_plain_lines_where_there_is_no_terminal() -> None:
    console = Console(file=StringIO(), width=20)
    steps = Steps(console)
    with steps.step("Sending [all] of it over HTTP", 10) as step:
        step.advance(10)
        steps.tell("worker-1 is ready")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert lines[0] == "spanfold: worker-1 is ready"
    assert lines[1].startswith("spanfold: Sending [all] of it over HTTP (")


def test_on_a_terminal_news_stand_beside_the_spinner_and_one_line_stays() -> None:
    console = Console(file=StringIO(), width=100, force_terminal=True)
    steps = Steps(console)
    with steps.step("Starting") as step:
        steps.tell("broker is ready")
        step.reached(1, 2)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "✓" in text
    assert "spanfold: " not in text
