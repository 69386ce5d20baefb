"""The table of rights: names that exist, the page that is made of it, the command that prints it."""

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.ops.kafka_rights import ALL_GROUPS, GROUP, RIGHTS, TOPIC, WHO, acls, commands, table
from pipeline.ops.topics import topic_specs

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
SETTINGS = Settings(topic_prefix="mine", kafka_bootstrap="kafka-1:9093,kafka-2:9093")


def test_the_page_is_up_to_date() -> None:
    assert table() in PAGE, "put what `python -m pipeline.ops.kafka_rights` prints into docs/security.md"


def test_topics_and_groups_are_those_of_the_settings() -> None:
    found = {kind: {acl.name for acl in acls(SETTINGS) if acl.kind == kind} for kind in (TOPIC, GROUP)}
    assert found[TOPIC] == {spec.name for spec in topic_specs(SETTINGS)}
    assert found[GROUP] == {f"mine-{name}" for name in ALL_GROUPS}
    assert {SETTINGS.fold_group, SETTINGS.overflow_group} <= found[GROUP]


def test_nothing_is_said_twice_and_nobody_is_unknown() -> None:
    every = list(acls(SETTINGS))
    assert len(set(every)) == len(every)
    assert {right.who for right in RIGHTS} == set(WHO)


def test_commands_say_all_of_it_and_only_for_who_is_named() -> None:
    lines = list(commands(SETTINGS, {"worker": "User:CN=the worker"}))
    words = [shlex.split(line) for line in lines]
    assert all(each[:4] == ["kafka-acls.sh", "--bootstrap-server", SETTINGS.kafka_bootstrap, "--add"] for each in words)
    assert all("User:CN=the worker" in each for each in words)
    said = {
        (each[-2].lstrip("-"), each[-1], word)
        for each in words
        for option, word in pairwise(each)
        if option == "--operation"
    }
    assert said == {acl[1:] for acl in acls(SETTINGS) if acl.who == "worker"}


def test_the_command_prints_them_and_refuses_what_is_no_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFOLD_TOPIC_PREFIX", "mine")
    printed = CliRunner().invoke(app, ["kafka-acls", "--ingest", "User:door", "--operator", ""])
    assert printed.exit_code == 0
    assert "User:door --operation Write --topic mine.edge-counts" in printed.stdout
    assert "operator" not in printed.stdout
    refused = CliRunner().invoke(app, ["kafka-acls", "--worker", "fold"])
    assert refused.exit_code != 0
    assert "'fold' is no principal" in str(refused.exception)
