"""`make audit`: are there known vulnerabilities in what uv.lock installs?

Rule: what the lock says is exported and given to pip-audit, which asks the package index's advisories about exactly
these versions. A finding fails (exit 1), unless accepted.txt accepts it by a day that has not passed. Where the
advisories cannot be reached nothing was audited: that is said in so many words, and is no failure (exit 0) unless
AUDIT_STRICT is set: a network that is away says nothing about the code. A mirror may answer without any advisories, so
CANARY, which everybody knows to be vulnerable, is asked about first: where it is found clean, nothing is audited
either. Where the lock cannot be judged after that, it fails (exit 2).
Fails with one sentence that says what to do.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
ACCEPTED = Path(__file__).with_name("accepted.txt")
PIP_AUDIT = "pip-audit==2.10.1"
WITHIN = 300  # seconds
CANARY = "django==2.0.0\n"  # is asked about, never installed
UV = str(Path(sys.executable).with_name("uv"))
Answer = subprocess.CompletedProcess[str]
# What pip-audit and its HTTP client say where the service is not reached; a wrong answer of it is not among them.
UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "Max retries exceeded", "SSLError")


class Finding(NamedTuple):
    """One advisory about one locked version."""

    package: str
    version: str
    id: str
    fixed: str


def findings(report: dict[str, Any]) -> list[Finding]:
    """What pip-audit's JSON says."""
    return [
        Finding(each["name"], each.get("version", ""), found["id"], ", ".join(found.get("fix_versions", ())) or "none")
        for each in report["dependencies"]
        for found in each.get("vulns", ())
    ]


def accepted(text: str, today: date) -> set[str]:
    """Ids that are accepted today. Raises ValueError for a line that is no id, day and reason."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = set()
    for line in lines:
        id_, until, reason = line.split(maxsplit=2)
        if date.fromisoformat(until) >= today and reason:
            found.add(id_)
    return found


def answered(answer: Answer, allowed: set[str]) -> tuple[int, str]:
    """(exit code, sentence) for what pip-audit says of the lock, once the canary has shown that it can tell."""
    report = report_of(answer)
    if report is None:
        return 2, f"pip-audit failed (exit {answer.returncode}): {answer.stderr.strip()[-1000:]}"
    open_ = [each for each in findings(report) if each.id not in allowed]
    if open_:
        lines = [f"{each.package} {each.version}: {each.id}, fixed in {each.fixed}" for each in open_]
        return 1, "\n".join([*lines, f"{len(open_)} known vulnerabilities: upgrade, or accept in {ACCEPTED.name}."])
    return 0, f"{len(report['dependencies'])} locked packages, no known vulnerability that is not accepted."


def why_not_done(canary: Answer) -> str | None:
    """Why an audit would say nothing, by the answer about the canary; None where it can be done."""
    report = report_of(canary)
    if report is None:
        unreachable = any(word in canary.stderr for word in UNREACHABLE)
        return (
            "the advisories cannot be reached" if unreachable else f"pip-audit failed: {canary.stderr.strip()[-500:]}"
        )
    return None if findings(report) else "the package index answers without advisories"


def report_of(answer: Answer) -> dict[str, Any] | None:
    """pip-audit's report, where it made one."""
    try:
        report = json.loads(answer.stdout)
    except json.JSONDecodeError:
        return None
    return report if isinstance(report, dict) and "dependencies" in report else None


def ask(requirements: str) -> Answer:
    """What pip-audit says of these exact versions; installs none of them."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = [UV, "tool", "run", "--quiet", PIP_AUDIT, "--requirement", file.name, "--no-deps", "--disable-pip"]
        command += ["--format", "json"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=False)


def main() -> int:
    """1 the canary, 2 the lock."""
    if reason := why_not_done(ask(CANARY)):
        strict = bool(os.environ.get("AUDIT_STRICT"))
        print(f"AUDIT NOT DONE: {reason}. Nothing was checked.", file=sys.stderr)
        return int(strict)
    export = [UV, "export", "--frozen", "--quiet", "--all-extras", "--all-groups", "--no-emit-project", "--no-hashes"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    code, sentence = answered(ask(locked), accepted(ACCEPTED.read_text("utf-8"), datetime.now(UTC).date()))
    print(sentence, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
