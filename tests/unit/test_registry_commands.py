"""`spanfold keys` and `spanfold limits`: what they change and say."""

from pathlib import Path

import pytest

from pipeline.errors import SettingError
from pipeline.registry import RateLimits, RegistryError, open_registry
from pipeline.registry.commands import run_keys, run_limits


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    registry = open_registry(url)
    registry.create_project("One", project_id="one")
    registry.close()
    return url


def test_a_key_is_made_shown_once_and_revoked(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_keys(url, "one", "")
    said = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    registry = open_registry(url)
    assert registry.authenticate(said["public key"], said["secret key"]) is not None
    run_keys(url, "", "")
    listed = capsys.readouterr().out
    assert said["secret key"] not in listed
    assert said["secret key"][-4:] in listed
    assert "one" in listed
    run_keys(url, "", said["public key"])
    assert registry.authenticate(said["public key"], said["secret key"]) is None
    assert [key.revoked_at is None for key in registry.list_keys()] == [False]
    registry.close()


def test_a_project_is_made_together_with_its_first_key(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_keys(url, "two", "", new_project=True)
    said = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    registry = open_registry(url)
    project = registry.authenticate(said["public key"], said["secret key"])
    registry.close()
    assert project is not None
    assert project.id == "two"
    with pytest.raises(RegistryError, match="exists already"):
        run_keys(url, "two", "", new_project=True)
    with pytest.raises(RegistryError, match="--new-project"):
        run_keys(url, "three", "")
    with pytest.raises(SettingError, match="--create PROJECT"):
        run_keys(url, "", "", new_project=True)


def test_limits_are_shown_changed_one_by_one_and_reset(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_limits(url, "one", (None, None, None), reset=False)
    assert capsys.readouterr().out.count("as the settings say") == 3
    run_limits(url, "one", (None, 5_000, None), reset=False)
    run_limits(url, "one", (0, None, None), reset=False)
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "requests per second: no limit",
        "events per second: 5,000",
        "bytes per second: as the settings say",
    ]
    registry = open_registry(url)
    project = registry.project("one")
    assert project is not None
    assert project.limits == RateLimits(0, 5_000, None)
    run_limits(url, "one", (None, None, None), reset=True)
    project = registry.project("one")
    assert project is not None
    assert project.limits == RateLimits()
    registry.close()


def test_unknown_projects_and_keys_are_named(url: str) -> None:
    for work in (
        lambda: run_limits(url, "nobody", (1, 1, 1), reset=False),
        lambda: run_keys(url, "nobody", ""),
        lambda: run_keys(url, "", "pk-nobody"),
    ):
        with pytest.raises(RegistryError, match="nobody"):
            work()
