"""The commands about keys, limits and settings; cli.py registers them."""

from typing import Annotated

import typer

from pipeline.ops.options import Data, Project


def keys(
    data: Data = None,
    create: Annotated[str, typer.Option("--create", metavar="PROJECT", help="Make a key pair for a project.")] = "",
    new_project: Annotated[bool, typer.Option("--new-project", help="With --create: make the project, too.")] = False,
    revoke: Annotated[str, typer.Option("--revoke", metavar="PUBLIC_KEY", help="End a key for good.")] = "",
) -> None:
    """List the API keys; make one (its secret is shown this once) or revoke one (refused within 5 s).

    Examples: `spanfold keys`, `spanfold keys --create default`, `spanfold keys --create shop --new-project`,
    `spanfold keys --revoke pk-lf-…`
    """
    from pipeline.local.stack import find_settings
    from pipeline.registry.commands import run_keys

    run_keys(find_settings(data, must_run=False).registry, create, revoke, new_project=new_project)


def limits(
    project: Project,
    data: Data = None,
    requests: Annotated[int | None, typer.Option(min=0, help="Requests per second; 0: no limit.")] = None,
    events: Annotated[int | None, typer.Option(min=0, help="Events per second; 0: no limit.")] = None,
    size: Annotated[int | None, typer.Option("--bytes", min=0, help="Bytes per second; 0: no limit.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to what the settings say.")] = False,
) -> None:
    """Show what a project may send in a second, or change it; front doors go by it within 5 s.

    Examples: `spanfold limits default`, `spanfold limits default --events 5000`, `spanfold limits default --reset`
    """
    from pipeline.local.stack import find_settings
    from pipeline.registry.commands import run_limits

    run_limits(find_settings(data, must_run=False).registry, project, (requests, events, size), reset=reset)


def check_config() -> None:
    """Print every setting, its value (secrets masked), where it came from and what is wrong. Exit 2 if anything is.

    Example: `SPANFOLD_HTTP_PORT=http spanfold check-config`
    """
    from pipeline.ops.check import print_settings

    raise typer.Exit(2 if print_settings() else 0)


def register(app: typer.Typer) -> None:
    """Add all of them to the program."""
    app.command(rich_help_panel="Set up")(keys)
    app.command(rich_help_panel="Set up")(limits)
    app.command(name="check-config", rich_help_panel="Set up")(check_config)
