"""Environments of client libraries are made once, whole or not at all; docs/ingest.md says how clients are set up."""

import re
from pathlib import Path

import pytest

from pipeline.registry import NewKey
from tests.fixtures import client_environments
from tests.fixtures.client_environments import EXAMPLES, PROGRAMS, made
from tests.fixtures.real_clients import CLIENTS, Addresses, Client, variables

PAGE = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text()
STACK = Addresses("http://127.0.0.1:3000", "http://127.0.0.1:4317", "127.0.0.1:9092", "spanfold.events")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SPANFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clients"


def lock(folder: Path, said: str) -> list[Path]:
    path = folder / "lock.txt"
    path.write_text(said)
    return [path]


def test_an_environment_is_made_once_for_its_lock(tmp_path: Path) -> None:
    times: list[Path] = []
    first = made("client", lock(tmp_path, "a==1"), "", times.append)
    assert made("client", lock(tmp_path, "a==1"), "", times.append) == first
    assert len(times) == 1
    assert made("client", lock(tmp_path, "a==2"), "", times.append) != first
    assert made("client", lock(tmp_path, "a==2"), "another interpreter", times.append) != first
    assert len(times) == 3


def test_what_a_killed_run_left_is_made_anew(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made("client", lock(tmp_path, "a==1"), "", half)
    folder = made("client", lock(tmp_path, "a==1"), "", lambda folder: (folder / "whole").touch())
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "whole"]


def test_a_failed_install_says_which_command_failed_and_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)sh -c .* failed:\n.*no such package"):
        client_environments.run_install(["sh", "-c", "echo no such package >&2; exit 3"])


def test_every_package_of_every_environment_is_pinned() -> None:
    for path in (PROGRAMS / "environments").iterdir():
        assert all(re.fullmatch(r"[a-z0-9-]+==[^=\s]+", line) for line in path.read_text().splitlines()), path
    assert "resolved" not in (PROGRAMS / "node" / "package-lock.json").read_text(), "a lock names no registry"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_is_told_nothing_but_what_the_page_names(client: Client) -> None:
    told = variables(client.name, STACK, NewKey("pk-lf-1", "sk-lf-2"))
    own = {"PATH", "KAFKA_BOOTSTRAP", "KAFKA_TOPIC", "SPANFOLD_PROJECT"}  # of the test's own Kafka programs
    assert [name for name in told.keys() - own if name not in PAGE] == []


def test_the_page_has_the_settings_of_the_java_example() -> None:
    settings = re.findall(r'props\.put\("([^"]+)", "([^"]+)"\)', (EXAMPLES / "Produce.java").read_text())
    said = {f"{name}={value}" for name, value in settings if "serializer" not in name}
    assert said
    assert {setting for setting in said if f"`{setting}`" not in PAGE} == set()
