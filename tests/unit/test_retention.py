"""When a row may leave: the arithmetic, whose rule holds, and what a worker writes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SettingError
from pipeline.ops.retention.rules import Rules, read_rules
from pipeline.registry import Registry, RegistryError, RetentionDays, open_registry
from pipeline.store.retention import BOUNDED, DEFAULT_DAYS, FOREVER, OWN_TIME, Kind, expiry
from pipeline.store.tables import TABLES
from pipeline.stream.retention import KeepForEver, RetentionBook


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = open_registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    registry.create_project("a", project_id="a")
    registry.create_project("b", project_id="b")
    yield registry
    registry.close()


@pytest.mark.parametrize(
    ("since", "days", "until"),
    [
        ("2026-11-25T00:00:00", 1, "2026-11-27T00:00:00+00:00"),
        ("2026-11-25T23:59:59.999999", 1, "2026-11-27T00:00:00+00:00"),  # kept a whole day at least
        ("2026-11-26T00:00:00", 1, "2026-11-28T00:00:00+00:00"),
        ("2028-02-28T12:00:00", 30, "2028-03-30T00:00:00+00:00"),
        ("1970-01-01T00:00:00", 1, "1970-01-03T00:00:00+00:00"),
    ],
)
def test_a_row_leaves_at_the_first_midnight_after_its_days(since: str, days: int, until: str) -> None:
    assert day(expiry(micros(since), days)) == until


def test_what_is_kept_for_ever_or_very_long_stays_within_what_the_column_can_say() -> None:
    assert day(FOREVER) == "2105-12-31T00:00:00+00:00"
    assert expiry(micros("2026-11-25T00:00:00"), 0) == FOREVER
    assert expiry(micros("2099-11-25T00:00:00"), 36_500) == FOREVER


def test_a_project_s_own_rule_holds_before_that_of_all_and_that_before_the_built_in_one(registry: Registry) -> None:
    registry.set_retention("", RetentionDays(archive=30))
    registry.set_retention("a", RetentionDays(rows=7, archive=0))
    rules = read_rules(registry)
    assert rules.days("a", Kind.ARCHIVE) == (0, "project")
    assert rules.days("a", Kind.ROWS) == (7, "project")
    assert rules.days("b", Kind.ARCHIVE) == (30, "all")
    assert rules.days("b", Kind.ROWS) == (DEFAULT_DAYS[Kind.ROWS], "built in")
    assert rules.days("", Kind.ARCHIVE) == (30, "all")
    assert rules.days("a", Kind.DEAD_LETTERS) == (90, "built in")
    assert rules.days("a", Kind.LEDGER) == (400, "setting")
    assert [rule.project_id for rule in rules.listed(["a"]) if rule.kind is Kind.LEDGER] == [""]
    registry.pin("a", "dear")
    rules, since = read_rules(registry, 30), micros("2026-11-25T12:00:00")
    assert rules.days("", Kind.LEDGER) == (30, "setting")
    assert rules.until(Kind.ROWS, "a", "dear", since) == FOREVER
    assert rules.until(Kind.ROWS, "a", "t", since) == expiry(since, 7)


async def test_a_worker_writes_what_the_registry_says(registry: Registry) -> None:
    registry.set_retention("a", RetentionDays(rows=7, dead_letters=33))
    registry.set_retention("", RetentionDays(archive=1, dead_letters=3))
    registry.pin("a", "dear")
    book, since = RetentionBook(registry), micros("2026-11-25T12:00:00")
    assert book.rows_until("a", "t", since) == FOREVER  # nothing was read yet
    await book.refresh()
    assert day(book.rows_until("a", "t", since)) == "2026-12-03T00:00:00+00:00"
    assert day(book.archive_until("a", "t", since)) == "2026-11-27T00:00:00+00:00"
    assert book.rows_until("b", "t", since) == FOREVER
    assert [day(book.letters_until(project, since))[:10] for project in ("a", "b")] == ["2026-12-29", "2026-11-29"]
    assert book.rows_until("a", "dear", since) == book.archive_until("a", "dear", since) == FOREVER
    assert book.rows_until("b", "dear", since) == FOREVER
    assert day(book.archive_until("b", "dear", since)) == "2026-11-27T00:00:00+00:00"  # another project's
    registry.unpin("a", "dear")
    registry.set_retention("a", RetentionDays())
    await book.refresh()
    assert book.rows_until("a", "t", since) == FOREVER
    assert day(book.archive_until("a", "dear", since)) == "2026-11-27T00:00:00+00:00"
    assert KeepForEver().archive_until("a", "t", since) == FOREVER


@pytest.mark.parametrize("days", [RetentionDays(rows=-1), RetentionDays(archive=36_501)])
def test_days_out_of_range_and_unknown_projects_are_refused(registry: Registry, days: RetentionDays) -> None:
    with pytest.raises(RegistryError, match="36500"):
        registry.set_retention("a", days)
    with pytest.raises(RegistryError, match="no project"):
        registry.set_retention("nobody", RetentionDays(rows=1))
    with pytest.raises(RegistryError, match="no project"):
        registry.pin("nobody", "t")
    assert registry.retention() == {}


def test_pins_are_listed_once_and_can_be_taken_back(registry: Registry) -> None:
    assert registry.pin("a", "t", note="ticket") is True
    assert registry.pin("a", "t", note="again") is False
    assert registry.pin("b", "t") is True
    assert [(pin.project_id, pin.trace_id, pin.note) for pin in registry.pins()] == [
        ("a", "t", "ticket"),
        ("b", "t", ""),
    ]
    assert [pin.project_id for pin in registry.pins("b")] == ["b"]
    assert registry.unpin("a", "t") is True
    assert registry.unpin("a", "t") is False
    assert [pin.project_id for pin in registry.pins()] == ["b"]


def test_hostile_ids_are_literals_in_the_expression() -> None:
    nasty = "x', 'y') OR 1=1 -- %(a)s \\"
    rules = Rules({nasty: RetentionDays(rows=1)}, frozenset({(nasty, nasty)}))
    for bounded in BOUNDED:
        assert "', 'y') OR" not in rules.expression(bounded).replace("\\'", "")
        assert "%(a)s" not in rules.expression(bounded).replace("%%", "")


def test_every_table_whose_rows_carry_a_moment_is_bounded() -> None:
    carrying = {name for name, table in TABLES.items() if "expires_at" in table.columns}
    assert carrying <= {bounded.table for bounded in BOUNDED}
    for bounded in BOUNDED:
        columns = set(TABLES[bounded.table].columns)
        assert columns & set(re.findall(r"[a-z_]+", bounded.since)) >= {bounded.since} - {OWN_TIME}


@pytest.mark.parametrize("command", [["retention", name] for name in ("ls", "set", "apply", "media")])
def test_the_subcommands_explain_themselves_with_an_example(command: list[str]) -> None:
    outcome = CliRunner().invoke(app, [*command, "--help"])
    assert outcome.exit_code == 0
    assert f"spanfold {' '.join(command)}" in " ".join(outcome.output.split())


def test_what_was_set_is_shown_and_a_dry_run_sets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    monkeypatch.setenv("SPANFOLD_REGISTRY_URL", url)
    runner = CliRunner()
    outcome = runner.invoke(app, ["retention", "set", "--archive", "30", "--dry-run"])
    assert "nothing was changed" in outcome.output
    assert runner.invoke(app, ["retention", "set", "--archive", "30"]).exit_code == 0
    assert runner.invoke(app, ["retention", "set", "--rows", "0"]).exit_code == 0
    assert runner.invoke(app, ["retention", "set", "--rows", "-1"]).exit_code == 2
    assert isinstance(runner.invoke(app, ["retention", "set"]).exception, SettingError)
    with_registry = open_registry(url)
    assert with_registry.retention() == {"": RetentionDays(archive=30, rows=0)}
    with_registry.close()
    shown = runner.invoke(app, ["retention", "ls", "--json"]).output
    assert '{"project_id": "", "kind": "archive", "days": 30, "source": "all"}' in shown
    assert runner.invoke(app, ["retention", "set", "--reset"]).exit_code == 0
    assert '"days": 90, "source": "all"' not in runner.invoke(app, ["retention", "ls", "--json"]).output
    assert runner.invoke(app, ["pins", "--json"]).output == "[]\n"
