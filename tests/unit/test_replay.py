"""What a replay asks for, in which slices it reads, and what it says: without a store."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SettingError
from pipeline.replay import fold
from pipeline.replay.commands import _question
from pipeline.replay.compare import Comparison, Example
from pipeline.replay.run import Question, Report
from pipeline.replay.runs import Run
from pipeline.replay.scope import Chosen, Scope
from pipeline.replay.show import comparison_json, print_comparison, print_report, report_json

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_question_is_the_same_however_its_traces_are_ordered_and_comes_back_from_its_run() -> None:
    one, other = Question(DAY, None, "p", ("a", "b")), Question(DAY, None, "p", ("b", "a"))
    assert one.text() == other.text() != Question(DAY, DAY, "p", ("a", "b")).text()
    for question in (one, Question(DAY, datetime(2026, 11, 2, tzinfo=UTC))):
        run = Run("live", question.text(), 0, 1)
        assert Question.of(run) == question


def test_a_day_is_utc_and_a_trace_alone_is_enough() -> None:
    assert _question("2026-11-01", "", "", []) == Question(DAY, None)
    assert _question("2026-11-01T02:00:00+02:00", "2026-11-01", "p", []).until == DAY
    assert _question("", "", "", ["t"]).traces == ("t",)
    with pytest.raises(SettingError, match="Give --from"):
        _question("", "", "p", [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give --from TIME"),
        (("--swap", "--discard"), "exclude each other"),
        (("--compare", "--export", "out"), "exclude each other"),
        (("--swap", "--dry-run"), "--dry-run is for making rows"),
        (("--discard", "--project", "p"), "all that the shadow tables hold"),
        (("--from", "yesterday"), "no day and no time"),
        (("--from", "2026-11-02", "--to", "2026-11-02"), "not empty"),
        (("--from", "2200-01-01"), "not empty"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_do(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        CliRunner().invoke(app, ["replay", *arguments], env={"SPANFOLD_CLICKHOUSE_URL": "http://x"},
                           catch_exceptions=False)  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "conditions"),
    [
        (Scope(DAY, DAY), (False, False)),
        (Scope(DAY, DAY, "p"), (True, False)),
        (Scope(DAY, DAY, "", ("t",)), (False, True)),
        (Scope(DAY, DAY, "p", ("t",)), (True, True)),
    ],
)
def test_queries_have_only_the_conditions_that_a_scope_needs(scope: Scope, conditions: tuple[bool, bool]) -> None:
    for name in ("page", "total"):
        query = scope.query(name)
        assert ("project_id = %(project)s" in query, "trace_id IN %(traces)s" in query) == conditions


def _chosen(*sizes: tuple[int, int]) -> list[Chosen]:
    return [Chosen("p", f"t{number}", 0, events, size) for number, (events, size) in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([(1, 1)] * 5, [3, 2]),  # at most three traces
        ([(60, 1), (60, 1), (10, 1)], [1, 2]),  # at most a hundred events
        ([(1, 10), (1, 5_000), (1, 10)], [1, 1, 1]),  # a giant is alone
        ([(1, 600), (1, 600)], [1, 1]),
    ],
)
def test_slices_are_bounded_by_traces_events_and_bytes(
    sizes: list[tuple[int, int]], cut: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("SLICE_TRACES", 3), ("SLICE_EVENTS", 100), ("SLICE_BYTES", 1_000)):
        monkeypatch.setattr(fold, name, most)
    slices = list(fold._slices(_chosen(*sizes)))
    assert [len(some) for some in slices] == cut
    assert [each for some in slices for each in some] == _chosen(*sizes)


def _report() -> Report:
    counts = Counter(traces=3, events=50, observation_rows=20, skipped_expired=1)
    return Report(7, counts, [("skipped_expired", ("p", "t"))], seconds=2.0, events=50)


def test_a_report_says_what_was_done_and_what_was_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(_report(), dry_run=True, into="live")
    said = capsys.readouterr().out
    for words in ("3 traces of 50 events would be", "epoch 7", "25 events/s", "1 traces were left", "expired: p/t"):
        assert words in said
    told: dict[str, Any] = report_json(_report(), into="live")
    assert (told["events_per_second"], told["skipped"]) == (25, [{"reason": "skipped_expired", "trace": "p/t"}])


def test_a_comparison_names_columns_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    found = Comparison(5, 2, 1, 0, Counter(usage=2), {"usage": Example("p/t/o", "{}", "{'input':1}")}, ["p/t/gone"])
    assert not found.same
    assert Comparison(5).same
    print_comparison({"observations_rows": found})
    said = capsys.readouterr().out
    for words in ("observations_rows.usage: 2 rows differ, such as p/t/o", "only live, such as p/t/gone", "'input':1"):
        assert words in said
    assert comparison_json({"observations_rows": found})["observations_rows"]["columns"] == {"usage": 2}
