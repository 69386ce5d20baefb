"""What ledger and audit tell people and programs, and what they refuse to be asked."""

import json
from datetime import UTC, datetime

import pytest

from pipeline.audit.commands import audit
from pipeline.audit.diagnose import Diagnosis, Divergence
from pipeline.audit.report import SAYS, print_report
from pipeline.audit.run import EXAMPLES, Report
from pipeline.audit.watch import _news
from pipeline.errors import SettingError
from pipeline.metrics import Metric
from pipeline.ops.ledger import report as ledger_report
from pipeline.ops.ledger.balance import Balance, Finding, Kind, Line
from pipeline.ops.ledger.commands import ledger
from pipeline.ops.ledger.read import Scope
from pipeline.ops.ledger.report import print_balance

SCOPE = Scope("events", datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC))
SECOND = int(SCOPE.start.timestamp())


def wrong(name: str, *divergences: Divergence) -> Diagnosis:
    return Diagnosis(("p", name), 4, 3, list(divergences))


def test_every_kind_of_finding_has_a_sentence_and_a_series() -> None:
    assert SAYS.keys() == set(Divergence)
    assert ledger_report.SAYS.keys() == set(Kind)
    assert set(Metric.AUDIT_WRONG.spec.values["divergence"]) == {each.value for each in Divergence}
    assert set(Metric.LEDGER_MISSING.spec.values["kind"]) == {each.value for each in Kind}


def test_an_audit_counts_every_trace_and_keeps_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(traces=5_000, suspects=EXAMPLES + 1)
    for number in range(EXAMPLES + 1):
        report.add(wrong(f"t{number}", Divergence.SPLIT), number > 0)
    assert (report.wrong, report.remaining, len(report.findings)) == (EXAMPLES + 1, 1, EXAMPLES)
    print_report(report, fix=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["wrong"], told["remaining"], told["divergences"]) == (EXAMPLES + 1, 1, {"split": EXAMPLES + 1})
    assert told["findings"][0] == {
        "project_id": "p", "trace_id": "t0", "divergences": ["split"], "archived": 4, "told": 3, "mended": False,
        "columns": [],
    }  # fmt: skip


def test_an_audit_says_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add(wrong("t", Divergence.OVERCOUNTED), None)
    print_report(report, fix=False, as_json=False)
    assert "--fix" in capsys.readouterr().out
    report = Report()
    report.add(wrong("t", Divergence.OVERCOUNTED), False)
    report.skipped["in flight"] = 2
    print_report(report, fix=True, as_json=False)
    out = capsys.readouterr().out
    assert "--trust-archive" in out
    assert "2 traces not judged: in flight" in out
    assert "p/t: " in out


def test_a_ledger_names_each_gap_and_its_minute(capsys: pytest.CaptureFixture[str]) -> None:
    balance = Balance(
        [Line("p", SECOND, edge=9, stored=7, duplicate=1, missing=2), Line("q", SECOND, stored=1)],
        [Finding(Kind.UNCOVERED, "events", 3, 40, 41, 2, "p", SECOND), Finding(Kind.UNPROVEN, "events", 1, 0, 4, 5)],
        explained=1,
        behind={0: 4},
    )
    print_balance(balance, SCOPE, as_json=False)
    out = capsys.readouterr().out
    assert "2026-11-25T00:00Z p: 2 of 10 are missing" in out
    assert "events partition 3 offsets 40 to 41: 2 records of p in 2026-11-25T00:00Z committed" in out
    assert "events partition 1 offsets 0 to 4: 5 records not in any stored chunk" in out
    assert "The ledger does not balance." in out
    print_balance(balance, SCOPE, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["balanced"] is False
    assert told["lines"][0] == {
        "project_id": "p", "minute": "2026-11-25T00:00Z", "edge": 9, "accepted": 10, "stored": 7, "duplicate": 1,
        "rejected": 0, "ignored": 0, "missing": 2, "moved": 0,
    }  # fmt: skip
    assert (told["findings"][0]["partition"], told["findings"][0]["first"], told["findings"][0]["last"]) == (3, 40, 41)


def test_a_ledger_without_a_line_balances(capsys: pytest.CaptureFixture[str]) -> None:
    print_balance(Balance([]), SCOPE, as_json=False)
    assert "The ledger balances" in capsys.readouterr().out


def test_the_running_audit_takes_up_where_it_was() -> None:
    assert _news({}, {0: 5, 1: 0}) == {0: (0, 5)}
    assert _news({0: 5, 1: 3}, {0: 5, 1: 9, 2: 1}) == {1: (3, 9), 2: (0, 1)}
    assert _news({0: 5}, {0: 4}) == {}  # a hole came up: it waits


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ({"trace": ["t"]}, "--project"),
        ({"trust_archive": True}, "--fix"),
        ({"start": "yesterday"}, "2026-11-25"),
        ({"until": "2026-13-01"}, "2026-11-25"),
    ],
)
def test_wrong_usage_of_the_audit_says_what_to_write(asked: dict[str, object], remedy: str) -> None:
    with pytest.raises(SettingError, match=remedy):
        audit(**asked)  # type: ignore[arg-type]


def test_wrong_usage_of_the_ledger_says_what_to_write() -> None:
    with pytest.raises(SettingError, match="2026-11-25"):
        ledger(start="noon")
    with pytest.raises(SettingError, match="earlier time first"):
        ledger(start="2026-11-26", until="2026-11-25")
