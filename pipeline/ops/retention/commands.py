"""The commands about retention and pins; cli.py registers them."""

from typing import Annotated

import typer

from pipeline.ops.options import Data, Json, OnlyProject, Project, dry_run_option, wait_option

DryRun = Annotated[bool, dry_run_option("Show what would change; change nothing.")]
Wait = Annotated[float | None, wait_option("new rules", 10)]
Trace = Annotated[str, typer.Argument(help="The trace's id.")]
Days = Annotated[int | None, typer.Option(min=0, max=36_500, help="Days; 0: for ever.")]
retention_app = typer.Typer(
    no_args_is_help=True,
    help="""How long each project keeps events, rows and dead letters.

    Example: `spanfold retention set --archive 30`, then `spanfold retention apply --dry-run`
    """,
)


@retention_app.command("ls")
def retention_ls(project: OnlyProject = "", data: Data = None, as_json: Json = False) -> None:
    """Show how many days each project keeps what, and who says so.

    Examples: `spanfold retention ls`, `spanfold retention ls --project default --json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_ls

    run_ls(find_settings(data, must_run=False), project, as_json=as_json)


@retention_app.command("set")
def retention_set(
    project: Annotated[str, typer.Option(help="The project; none: all that say nothing themselves.")] = "",
    archive: Days = None,
    rows: Days = None,
    dead_letters: Days = None,
    cost_history: Days = None,
    reset: Annotated[bool, typer.Option("--reset", help="First forget what was said before.")] = False,
    dry_run: DryRun = False,
    data: Data = None,
) -> None:
    """Say how long a project keeps what. New rows go by it within seconds, old ones after `spanfold retention apply`.

    Examples: `spanfold retention set --archive 30`, `spanfold retention set --project default --rows 365 --archive 90`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_set
    from pipeline.registry import RetentionDays

    changes = RetentionDays(archive, rows, dead_letters, cost_history)
    run_set(find_settings(data, must_run=False), project, changes, reset=reset, dry_run=dry_run)


@retention_app.command("apply")
def retention_apply(
    project: OnlyProject = "",
    wait: Wait = None,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give rows that were written before a change the moment that holds now, one partition at a time.

    Again to continue. What has expired by it leaves at once and for good: look with `--dry-run` first.

    Examples: `spanfold retention apply --dry-run`, `spanfold retention apply --project default`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_apply

    run_apply(find_settings(data), project, wait=wait, dry_run=dry_run, as_json=as_json)


@retention_app.command("media")
def retention_media(
    project: Annotated[str, typer.Option(help="One project only.")] = "",
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Remove media that no row refers to any more, of projects whose rows leave, and declarations without bytes.

    An evaluator does the same once a day. Again to continue. What leaves is gone for good: look with `--dry-run` first.

    Examples: `spanfold retention media --dry-run`, `spanfold retention media --project default`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_media

    run_media(find_settings(data), project, dry_run=dry_run, as_json=as_json)


def pin(
    project: Project,
    trace: Trace,
    note: Annotated[str, typer.Option(help="Kept beside it, such as a ticket.")] = "",
    wait: Wait = None,
    data: Data = None,
) -> None:
    """Keep a trace for ever: its events, rows, scores and costs, whatever the retention of its project.

    Example: `spanfold pin default 7c1f0a5e9d3b2468 --note "incident 42"`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_pin

    run_pin(find_settings(data), project, trace, note, wait=wait)


def unpin(project: Project, trace: Trace, wait: Wait = None, data: Data = None) -> None:
    """Let a pinned trace go by its project's retention again; what has expired by it leaves at once.

    Example: `spanfold unpin default 7c1f0a5e9d3b2468`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_unpin

    run_unpin(find_settings(data), project, trace, wait=wait)


def pins(
    project: Annotated[str, typer.Argument(help="One project only.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """List the traces that are kept for ever.

    Examples: `spanfold pins`, `spanfold pins default --json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.retention.run import run_pins

    run_pins(find_settings(data, must_run=False), project, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add all of them to the program."""
    app.add_typer(retention_app, name="retention", rich_help_panel="Keep")
    app.command(rich_help_panel="Keep")(pin)
    app.command(rich_help_panel="Keep")(unpin)
    app.command(rich_help_panel="Keep")(pins)
