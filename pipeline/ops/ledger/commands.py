"""`spanfold ledger`; cli.py registers it."""

import asyncio
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pipeline.errors import SettingError
from pipeline.ops.options import Data, Json, OnlyProject, end_of, since, start_of


def ledger(
    project: OnlyProject = "",
    start: Annotated[str, since("First minute. [default: a day ago]")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Before this minute. [default: now]")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Prove accepted = stored + duplicate + rejected for every project and minute, or name the gap by its offsets.

    Exit code 1 where records are missing. Changes nothing; may run beside a busy stream.

    Examples: `spanfold ledger`, `spanfold ledger --project default --from 2026-11-25 --to 2026-11-26 --json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.ledger.read import Scope
    from pipeline.ops.ledger.report import print_balance
    from pipeline.ops.ledger.run import take_balance
    from pipeline.store.client import connect

    settings, now = find_settings(data), datetime.now(UTC)
    first = start_of(start, now - timedelta(days=1))
    last = end_of(until, now + timedelta(minutes=1))
    if first >= last:
        raise SettingError(f"--from ({first}) is not before --to ({last}).", remedy="Write the earlier time first.")
    scope = Scope(settings.events_topic, first, last, project)
    with closing(connect(settings, deadline=5.0, timeout=600.0)) as client:
        balance = asyncio.run(take_balance(settings, client, scope, _tell))
    print_balance(balance, scope, as_json=as_json)
    if not balance.balanced:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add it to the program."""
    app.command(rich_help_panel="Look")(ledger)


def _tell(what: str) -> None:
    """One line on stderr, rewritten on a terminal."""
    if sys.stderr.isatty():
        print(f"reading {what} ...", end="\r", file=sys.stderr)
