"""The options that many commands share: one spelling, one sentence of help, one reading of times.

An option that says something else in each command is a function of what it says there. What only one command has
stands in that command.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.ops.moments import moment

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The data directory of a running stack. [default: SPANFOLD_DATA_DIR]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
OnlyProject = Annotated[str, typer.Option("--project", help="One project only.")]
Project = Annotated[str, typer.Argument(help="The project's id.")]
Until = Annotated[str, typer.Option("--to", metavar="TIME", help="And before this. [default: now]")]


def since(what: str) -> Any:
    """The start of a range of time, `--from`: what is in the range."""
    return typer.Option("--from", metavar="TIME", help=what)


def dry_run_option(what: str) -> Any:
    """`--dry-run`: what happens instead."""
    return typer.Option("--dry-run", help=what)


def wait_option(what: str, default: int) -> Any:
    """`--wait`: seconds for workers to take `what` from the registry; `default` is what the command waits unasked."""
    return typer.Option(
        "--wait", min=0, help=f"Seconds for workers to take {what}; 0 where none runs. [default: {default}]"
    )


def start_of(text: str, otherwise: datetime) -> datetime:
    """The moment that `--from` names, or `otherwise` where it was not given. Raises SettingError."""
    return moment("--from", text) if text else otherwise


def end_of(text: str, otherwise: datetime) -> datetime:
    """The same of `--to`."""
    return moment("--to", text) if text else otherwise
