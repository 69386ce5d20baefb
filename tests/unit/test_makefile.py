"""The Makefile's first contact with a machine that lacks something: one sentence that says what to do."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the Makefile, beside the files that it looks at."""
    shutil.copy(MAKEFILE, folder)
    for name in ("pyproject.toml", "uv.lock", "infra/kafka/jars.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    program = shutil.which("make")
    assert program, "these tests need make"
    return subprocess.run(
        [program, "--no-print-directory", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def python_that(folder: Path, refuses: str) -> Path:
    """A stand-in for Python that fails when its arguments contain `refuses`, makes a .venv and agrees else."""
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *{refuses}*) exit 1;; esac\n'
        f'case "$*" in "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python;; esac\n'
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        ("version_info", "older than 3.11. Name another: make PYTHON=/path/to/python3"),
        ("ensurepip", "came without its venv module. Install it (Debian, Ubuntu: apt install python3-venv)"),
        ("-m venv", "could not make .venv (see above)"),
        ("pip install", "Check the network and pip's settings (pip config list), then run make again."),
    ],
)
def test_what_is_missing_is_told_with_the_way_out(tmp_path: Path, refuses: str, sentence: str) -> None:
    outcome = make(tmp_path, f"PYTHON={python_that(tmp_path, refuses.replace(' ', '?'))}", ".venv/.stamps/packages")
    assert outcome.returncode != 0
    assert sentence in outcome.stderr


def test_no_python_at_all_is_told(tmp_path: Path) -> None:
    outcome = make(tmp_path, "PYTHON=", "install")
    assert outcome.returncode != 0
    assert "Spanfold needs Python 3.11 or newer, and none was found on the PATH." in outcome.stderr


def test_help_names_every_target_and_needs_nothing(tmp_path: Path) -> None:
    outcome = make(tmp_path, "PYTHON=")
    assert outcome.returncode == 0
    for target in ("install", "demo", "test", "lint", "types", "format", "audit", "bench", "clean"):
        assert f"make {target} " in outcome.stdout
