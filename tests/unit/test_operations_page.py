"""docs/operations.md names commands, settings, metrics and pages that exist."""

import re
from pathlib import Path

import pytest

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.metrics import Metric
from pipeline.metrics.dashboard import ROWS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text("utf-8")
COMMANDS = {
    command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands
}
GROUPS = {group.name for group in app.registered_groups}


def test_commands_exist() -> None:
    named = set(re.findall(r"`spanfold ([a-z-]+)", PAGE))
    assert len(named) > 5
    assert named <= COMMANDS | GROUPS


def test_settings_exist() -> None:
    named = set(re.findall(r"SPANFOLD_([A-Z_]+)", PAGE))
    assert len(named) > 8
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_metrics_exist() -> None:
    assert set(re.findall(r"`(spanfold_\w+)`", PAGE)) <= set(Metric)


def test_panels_of_the_dashboard_exist() -> None:
    titles = {panel.title for panels in ROWS.values() for panel in panels} | set(ROWS)
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", PAGE))
    assert named
    assert named <= titles


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((\w+\.md)\)", PAGE))))
def test_pages_that_it_leads_to_exist(target: str) -> None:
    assert (DOCS / target).exists()


def test_what_the_log_is_searched_for_is_logged_somewhere() -> None:
    source = "".join(path.read_text("utf-8") for path in (DOCS.parent / "pipeline").rglob("*.py"))
    events = {"stuck", *re.findall(r"`(\w+_(?:failed|unavailable|wrong))`", PAGE)}
    assert len(events) > 3
    assert all(f'"{event}' in source for event in events)
