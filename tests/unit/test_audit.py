"""`make audit`: a finding fails, an advisory service that cannot be asked is said and does not."""

import json
import subprocess
from datetime import date
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "infra" / "audit" / "audit.py"
TODAY = date(2026, 11, 25)
VULNERABLE = {"name": "x", "version": "1.0", "vulns": [{"id": "GHSA-1", "fix_versions": ["1.1"]}]}
CLEAN = {"name": "y", "version": "2.0", "vulns": []}
UNREACHABLE = "requests.exceptions.ConnectionError: Max retries exceeded with url: /pypi/x"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = spec_from_file_location("audit", PATH)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(*packages: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess([], 0, json.dumps({"dependencies": packages}), "")


def failed(error: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess([], 1, "", error)


def run(audit: Any, monkeypatch: pytest.MonkeyPatch, canary: Any, lock: Any = None) -> int:
    """What the program ends with; `lock` None: it must not be asked about."""
    answers = {audit.CANARY: canary}
    monkeypatch.setattr(audit, "ask", lambda text: answers.get(text, lock))
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "x==1.0", ""))
    code = audit.main()
    assert isinstance(code, int)
    return code


def test_a_finding_fails_and_names_the_version_that_mends_it(
    audit: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit, monkeypatch, said(VULNERABLE), said(VULNERABLE, CLEAN)) == 1
    assert "x 1.0: GHSA-1, fixed in 1.1" in capsys.readouterr().err


def test_a_clean_lock_is_good(audit: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(audit, monkeypatch, said(VULNERABLE), said(CLEAN)) == 0
    assert "1 locked packages, no known vulnerability" in capsys.readouterr().out


@pytest.mark.parametrize("canary", [failed(UNREACHABLE), said(CLEAN), failed("no such option")])
def test_what_could_not_be_audited_is_never_called_clean(
    audit: Any, canary: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit, monkeypatch, canary) == 0
    told = capsys.readouterr()
    assert "AUDIT NOT DONE" in told.err
    assert "no known vulnerability" not in told.out + told.err
    monkeypatch.setenv("AUDIT_STRICT", "1")
    assert run(audit, monkeypatch, canary) == 1


def test_a_lock_that_cannot_be_judged_fails(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(audit, monkeypatch, said(VULNERABLE), failed("invalid requirement")) == 2


def test_an_advisory_is_accepted_until_its_day(audit: Any) -> None:
    text = "# comment\n\nGHSA-1 2026-11-25 not reachable by us\nGHSA-2 2026-11-24 was so until yesterday\n"
    assert audit.accepted(text, TODAY) == {"GHSA-1"}
    assert audit.answered(said(VULNERABLE), {"GHSA-1"})[0] == 0
    for wrong in ("GHSA-1", "GHSA-1 2026-11-25", "GHSA-1 soon because"):
        with pytest.raises(ValueError, match=r"unpack|Invalid isoformat"):
            audit.accepted(wrong, TODAY)
    audit.accepted(audit.ACCEPTED.read_text(), TODAY)
