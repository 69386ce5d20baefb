"""The product's own account after a fault: `spanfold ledger` and `spanfold audit --contents`, run as commands.

What they say is taken at its word: an exit code, and the findings of `--json`.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from tests.fixtures.worker import environment

BEFORE = timedelta(minutes=1)  # the ledger goes by minutes


def own_account(settings: Settings, since: datetime) -> list[str]:
    """What does not balance, and which rows are not what their events make, since a time; empty where all is well."""
    start = (since.astimezone(UTC) - BEFORE).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [*ledger(settings, start), *audit(settings, start)]


def ledger(settings: Settings, start: str) -> Iterator[str]:
    """Its findings, each with its kind, place and offsets; and what it has not seen stored."""
    code, told = _run(settings, "ledger", start)
    for each in told["findings"]:
        yield (
            f"ledger: {each['kind']}, {each['records']} records, {each['topic']} partition {each['partition']}"
            f" offsets {each['first']} to {each['last']}"
        )
    for line in told["lines"]:
        became = sum(line[name] for name in ("stored", "duplicate", "rejected", "ignored"))
        if line["accepted"] != became:
            yield f"ledger: {line['project_id']} {line['minute']}: {line['accepted']} accepted, {became} accounted for"
    waiting = sum(told["not_stored_yet"].values()) + sum(told["in_overflow"].values())
    if waiting:
        yield f"ledger: {waiting} records are not stored yet"
    if not told["lines"]:
        yield "ledger: nothing was accepted"
    if (code == 0) is not told["balanced"]:
        yield f"ledger: exit code {code}, but balanced is {told['balanced']}"


def audit(settings: Settings, start: str) -> Iterator[str]:
    """Its findings; all traces must have been compared, contents and all."""
    code, told = _run(settings, "audit", start, "--contents")
    for each in told["findings"]:
        kinds = ", ".join(each["divergences"])
        yield f"audit: {kinds} in {each['project_id']}/{each['trace_id']} {' '.join(each['columns'])}".rstrip()
    if told["not_judged"]:
        yield f"audit: not judged: {told['not_judged']}"
    if told["contents_compared"] < told["traces"] - told["wrong"]:
        yield f"audit: the contents of {told['contents_compared']} of {told['traces']} traces were compared"
    if (code == 0) is not (told["remaining"] == 0):
        yield f"audit: exit code {code} with {told['remaining']} wrong traces"


def _run(settings: Settings, name: str, start: str, *more: str) -> tuple[int, Mapping[str, Any]]:
    done = CliRunner().invoke(app, [name, "--json", "--from", start, *more], env=environment(settings))
    assert done.stdout, f"spanfold {name} says nothing: {done.exception!r} {done.stderr}"
    told: dict[str, Any] = json.loads(done.stdout)
    return done.exit_code, told
