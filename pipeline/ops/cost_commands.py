"""The commands about cost; cli.py registers them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import SettingError
from pipeline.ops.moments import moment
from pipeline.ops.options import Data, Json, OnlyProject, Project, Until, dry_run_option, end_of, since, wait_option

prices_app = typer.Typer(
    no_args_is_help=True,
    help="""The price document: overrides, custom models, discounts.

    Example: `spanfold prices show > prices.yaml`, then `spanfold prices publish prices.yaml`
    """,
)


def explain_cost(
    project: Project,
    observation: Annotated[str, typer.Argument(help="The observation's id.")],
    data: Data = None,
) -> None:
    """Show how an observation's cost comes about: what was received, which rule read it, which price, the arithmetic.

    Example: `spanfold explain-cost default 7c1f0a5e9d3b2468`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.explain.explain import explain

    print("\n".join(explain(find_settings(data), project, observation)))


def unpriced(
    project: OnlyProject = "",
    limit: Annotated[int, typer.Option(min=1, help="How many lines.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List models whose calls have no cost: their price or their usage is unknown.

    Examples: `spanfold unpriced`, `spanfold unpriced --project default --json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.explain.unpriced import print_unpriced
    from pipeline.ops.explain.unpriced import unpriced as find

    print_unpriced(find(find_settings(data), project, limit), as_json=as_json)


def reprice(
    start: Annotated[str, since("Calls that start from here on.")],
    until: Until = "",
    model: Annotated[str, typer.Option(help="Traces with a call of this model only.")] = "",
    project: OnlyProject = "",
    reason: Annotated[str, typer.Option(help="Kept in cost_history.")] = "",
    dry_run: Annotated[bool, dry_run_option("Show what would change; write nothing.")] = False,
    wait: Annotated[float | None, wait_option("a new book", 20)] = None,
    data: Data = None,
) -> None:
    """Price history again with the books that hold now. Old costs stay in `cost_history`. Again to continue.

    Examples: `spanfold reprice --from 2026-11-01 --dry-run`,
    `spanfold reprice --from 2026-11-01 --to 2026-12-01 --model gpt-4o --reason "contract"`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.reprice.pieces import Scope
    from pipeline.ops.reprice.run import TAKEN_SECONDS, OvertakenError, print_progress, print_report
    from pipeline.ops.reprice.run import reprice as run

    first, last = moment("--from", start), end_of(until, datetime.now(UTC))
    if first >= last:
        raise SettingError(f"--from ({first}) is not before --to ({last}).", remedy="Write the earlier time first.")
    scope = Scope(first, last, project, model)
    report = run(
        find_settings(data),
        scope,
        dry_run=dry_run,
        wait=TAKEN_SECONDS if wait is None else wait,
        reason=reason,
        progress=print_progress,
    )
    print_report(report, dry_run=dry_run)
    if report.overtaken:
        some = ", ".join("/".join(key) for key in report.overtaken[:5])
        raise OvertakenError(
            f"{len(report.overtaken)} traces were written by a worker that had an older book: {some}",
            remedy="Check that every worker reaches the registry, then make them anew: spanfold replay --trace ID",
        )


@prices_app.command("publish")
def prices_publish(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; docs/cost.md shows the form.")],
    note: Annotated[str, typer.Option(help="Kept beside it.")] = "",
    data: Data = None,
) -> None:
    """Check a price document and publish it as the next book. Workers take it within seconds.

    Example: `spanfold prices publish prices.yaml --note "contract 2027"`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.prices import publish

    published, new = publish(find_settings(data), path, note)
    print(f"book {published.epoch} " + ("published" if new else "says the same: nothing to do"))


@prices_app.command("show")
def prices_show(data: Data = None) -> None:
    """Print the document that holds now, as YAML.

    Example: `spanfold prices show > prices.yaml`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.prices import show

    print(show(find_settings(data)), end="")


def register(app: typer.Typer) -> None:
    """Add all of them to the program."""
    app.command(name="explain-cost", rich_help_panel="Cost")(explain_cost)
    app.command(rich_help_panel="Cost")(unpriced)
    app.command(rich_help_panel="Cost")(reprice)
    app.add_typer(prices_app, name="prices", rich_help_panel="Cost")
