"""`spanfold audit`; cli.py registers it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import SettingError
from pipeline.ops.options import Data, Json, OnlyProject, Until, end_of, since, start_of

if TYPE_CHECKING:
    from pipeline.audit.run import Audit, Report
    from pipeline.audit.scope import Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def audit(
    project: OnlyProject = "",
    trace: Annotated[list[str] | None, typer.Option(help="Traces of that project; may be given again.")] = None,
    start: Annotated[str, since("Traces first seen from here on. [default: all]")] = "",
    until: Until = "",
    contents: Annotated[
        bool, typer.Option("--contents", help="Compare what every row says, too: all traces are folded anew.")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write what is right. Without it nothing is changed.")] = False,
    trust_archive: Annotated[
        bool, typer.Option("--trust-archive", help="With --fix: delete rows made from more events than are archived.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare the rows of every trace with its archived events, and with --fix make them right.

    Exit code 1 where a trace is wrong and was not mended. May run beside a busy stream, and again at any time.

    Examples: `spanfold audit`, `spanfold audit --project default --from 2026-11-25 --fix`,
    `spanfold audit --project default --trace 0af7651916cd43dd`, `spanfold audit --contents --from 2026-11-25`
    """
    from pipeline.audit.report import print_report
    from pipeline.audit.run import Audit
    from pipeline.audit.scope import Scope
    from pipeline.local.stack import find_settings

    if trace and not project:
        raise SettingError("--trace needs its project.", remedy="Add --project PROJECT.")
    if trust_archive and not fix:
        raise SettingError("--trust-archive means something with --fix only.", remedy="Add --fix, or leave it out.")
    first = start_of(start, EPOCH)
    last = end_of(until, datetime.now(UTC) + timedelta(days=1))
    if first >= last:
        raise SettingError(f"--from ({first}) is not before --to ({last}).", remedy="Write the earlier time first.")
    run = Audit(find_settings(data), fix=fix, trust_archive=trust_archive)
    try:
        report = asyncio.run(_run(run, project, trace or [], Scope(first, last, project), contents))
    finally:
        run.close()
    print_report(report, fix=fix, as_json=as_json)
    if report.remaining:
        raise typer.Exit(1)


async def _run(run: "Audit", project: str, traces: list[str], scope: "Scope", contents: bool) -> "Report":
    from pipeline.audit.report import print_progress

    if traces:
        return await run.some([(project, trace) for trace in dict.fromkeys(traces)], contents=contents)
    return await run.everything(scope, print_progress, contents=contents)


def register(app: typer.Typer) -> None:
    """Add it to the program."""
    app.command(rich_help_panel="Look")(audit)
