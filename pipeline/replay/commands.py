"""`spanfold replay`; cli.py registers it."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import SettingError, SpanfoldError
from pipeline.ops.moments import moment
from pipeline.ops.options import Data, Json, OnlyProject, Until, dry_run_option, since, wait_option

if TYPE_CHECKING:
    from pipeline.config import Settings
    from pipeline.replay.run import Question, Report

START_OF_TIME = "1970-01-01"


class Target(StrEnum):
    """Where the rows go."""

    LIVE = "live"
    SHADOW = "shadow"


class IncompleteError(SpanfoldError):
    """Some traces could not be made anew, or some rows not stored."""


def replay(
    start: Annotated[str, since("Traces with an event that came from here on.")] = "",
    until: Until = "",
    project: OnlyProject = "",
    trace: Annotated[list[str] | None, typer.Option(help="This trace only; may be given several times.")] = None,
    into: Annotated[Target, typer.Option(help="The live tables, or shadow tables to compare first.")] = Target.LIVE,
    source: Annotated[
        str, typer.Option(metavar="archive|kafka|DIR", help="Where events are, if the archive lacks some.")
    ] = "archive",
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the archived records to files instead.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare the shadow tables with the live ones.")] = False,
    swap: Annotated[bool, typer.Option("--swap", help="Bring the shadow tables' rows into the live ones.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Remove the shadow tables.")] = False,
    dry_run: Annotated[bool, dry_run_option("Fold everything; write nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew where a replay was broken off.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in cost_history where costs change.")] = "replay",
    wait: Annotated[float | None, wait_option("a new epoch", 20)] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make rows anew from archived events by the code and the prices of now. Again to continue.

    Whole traces, those with an event that came in the time range. `docs/replay.md` tells when to use what.

    Examples: `spanfold replay --from 2026-11-01 --dry-run`, `spanfold replay --trace 7c1f0a5e9d3b2468`,
    `spanfold replay --from 2026-11-01 --into shadow`, then `spanfold replay --swap` or `--discard`,
    `spanfold replay --from 2026-11-01 --export ./events`, `spanfold replay --from 2026-11-01 --source kafka`
    """
    from pipeline.local.stack import find_settings

    ranged = bool(start or until or project or trace)
    _check((export is not None, compare, swap, discard), ranged=ranged, dry_run=dry_run)
    settings = find_settings(data)
    if discard:
        _discard(settings)
    elif compare:
        _compare(settings, as_json=as_json)
    elif swap:
        _swap(settings, wait, reason, as_json=as_json)
    else:
        question = _question(start, until, project, trace or [])
        if export is not None:
            _export(settings, question, export, as_json=as_json)
        else:
            _replay(settings, question, source, (into, dry_run, restart, wait, reason), as_json=as_json)


def _check(instead: tuple[bool, bool, bool, bool], *, ranged: bool, dry_run: bool) -> None:
    """Nothing that was said may be passed over: somebody may rely on it. `instead`: export, compare, swap, discard."""
    if sum(instead) > 1:
        raise SettingError("--export, --compare, --swap and --discard exclude each other.", remedy="Give one of them.")
    if any(instead) and dry_run:
        raise SettingError("--dry-run is for making rows.", remedy="--compare shows what a swap would change.")
    if any(instead[1:]) and ranged:
        raise SettingError(
            "--compare, --swap and --discard are about all that the shadow tables hold.",
            remedy="Leave out --from, --to, --project and --trace.",
        )


def _question(start: str, until: str, project: str, traces: list[str]) -> "Question":
    from pipeline.replay.run import Question

    if not start and not traces:
        raise SettingError("Which traces?", remedy="Give --from TIME, or --trace ID.")
    end: datetime | None = moment("--to", until) if until else None
    return Question(moment("--from", start or START_OF_TIME), end, project, tuple(traces))


def _replay(
    settings: "Settings",
    question: "Question",
    source: str,
    given: tuple[Target, bool, bool, float | None, str],
    *,
    as_json: bool,
) -> None:
    from pipeline.replay.run import Options
    from pipeline.replay.run import replay as run
    from pipeline.replay.show import ProgressLine, comparison_json, print_comparison, print_report, report_json
    from pipeline.replay.swap import compare_shadow

    into, dry_run, restart, wait, reason = given
    filled = _fill(settings, question, source, dry_run=dry_run)
    options = Options(into.value, dry_run, restart, _seconds(wait), reason)
    _, report = run(settings, question, options, ProgressLine())
    compared = compare_shadow(settings) if into is Target.SHADOW and not dry_run else None
    if as_json:
        more: dict[str, Any] = {"archived": filled, "dry_run": dry_run, "into": into.value}
        if compared is not None:
            more["comparison"] = comparison_json(compared)
        print(json.dumps(report_json(report, **more)))
    else:
        if filled is not None:
            print(f"{filled} events {'would be' if dry_run else 'were'} new to the archive")
        print_report(report, dry_run=dry_run, into=into.value)
        if compared is not None:
            print_comparison(compared)
            print("spanfold replay --swap brings these rows into the live tables, --discard removes them")
    _complain(report)


def _fill(settings: "Settings", question: "Question", source: str, *, dry_run: bool) -> int | None:
    """Archive what the source has and the archive lacks; None where the archive is the source."""
    from pipeline.replay.source import fill_from_folder, fill_from_topic

    if source == "archive":
        return None
    if source == "kafka":
        return fill_from_topic(settings, question, dry_run=dry_run)
    return fill_from_folder(settings, question, Path(source), dry_run=dry_run)


def _complain(report: "Report") -> None:
    """Exit code 1 where not all that was asked for was done."""
    counts = report.counts
    if counts["refused_rows"] or counts["skipped_unreadable"]:
        raise IncompleteError(
            f"{counts['skipped_unreadable']} traces have events that this version cannot read, "
            f"{counts['refused_rows']} rows were refused by the store.",
            remedy="The report names examples; the rows that were there are as they were.",
        )


def _export(settings: "Settings", question: "Question", folder: Path, *, as_json: bool) -> None:
    from pipeline.replay.source import export

    files, records = export(settings, question, folder)
    print(json.dumps({"files": files, "records": records}) if as_json else f"{records} records in {files} files")


def _compare(settings: "Settings", *, as_json: bool) -> None:
    from pipeline.replay.show import comparison_json, print_comparison
    from pipeline.replay.swap import compare_shadow

    found = compare_shadow(settings)
    if as_json:
        print(json.dumps(comparison_json(found)))
    else:
        print_comparison(found)
    if not all(each.same for each in found.values()):
        raise typer.Exit(1)


def _swap(settings: "Settings", wait: float | None, reason: str, *, as_json: bool) -> None:
    from pipeline.replay.show import ProgressLine, report_json
    from pipeline.replay.swap import swap

    say = (lambda _: None) if as_json else (lambda text: print(text, flush=True))
    report = swap(settings, wait=_seconds(wait), reason=reason, say=say, progress=ProgressLine())
    print(json.dumps(report_json(report)) if as_json else f"swapped, under epoch {report.epoch}")


def _seconds(wait: float | None) -> float:
    """How long workers get to take a new epoch."""
    from pipeline.ops.reprice.run import TAKEN_SECONDS

    return TAKEN_SECONDS if wait is None else wait


def _discard(settings: "Settings") -> None:
    from pipeline.replay.swap import discard_shadow

    discard_shadow(settings)
    print("the shadow tables are removed")


def register(app: typer.Typer) -> None:
    """Add it to the program."""
    app.command(rich_help_panel="Correct")(replay)
