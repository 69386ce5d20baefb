"""docs/operations.md names commands, settings, metrics and pages that exist."""

import re
from pathlib import Path

import pytest

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.metrics import Metric
from pipeline.metrics.dashboard import ROWS
from pipeline.ops.kafka_rights import ALL_GROUPS, ALL_TOPICS, acls
from pipeline.ops.topics import topic_specs

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
    of_compose = set(re.findall(r"\$\{SPANFOLD_([A-Z_]+)", (DOCS.parent / "docker-compose.yml").read_text("utf-8")))
    assert {name.lower() for name in named - of_compose} <= set(Settings.model_fields)


def test_under_another_prefix_no_topic_and_no_group_has_its_old_name() -> None:
    """Else offsets of a log that begins anew would be taken for those of the old one."""
    assert "`SPANFOLD_TOPIC_PREFIX`" in PAGE.partition("\n## A log that begins anew\n")[2].partition("\n## ")[0]
    old, new = ({acl.name for acl in acls(Settings(topic_prefix=prefix))} for prefix in ("spanfold", "spanfold2"))
    assert len(old) == len(new) == len(ALL_TOPICS) + len(ALL_GROUPS)
    assert old >= {spec.name for spec in topic_specs(Settings(topic_prefix="spanfold"))}
    assert not old & new


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
