"""`spanfold dlq …`: the commands about dead letters; cli.py registers them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import SettingError, SpanfoldError
from pipeline.ops.options import Data, Json, dry_run_option, end_of, since, start_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config import Settings
    from pipeline.ops.dlq.letters import Choice

dlq_app = typer.Typer(
    no_args_is_help=True,
    help="""Dead letters: what could not be processed, with its bytes and why.

    Example: `spanfold dlq ls --count`, then `spanfold dlq replay --reason schema_unavailable --dry-run`
    """,
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="TOPIC/PARTITION/OFFSET, as `ls` shows.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Of this reason only.")]
Project = Annotated[str | None, typer.Option(help="Of this project only; '' where nothing tells the project.")]
From = Annotated[str, since("That failed (last) from here on.")]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="And before this.")]
DryRun = Annotated[bool, dry_run_option("Show what would be done; do nothing.")]
Everything = Annotated[bool, typer.Option("--all", help="All that are open: needed where nothing else chooses.")]


class DeadLetterError(SpanfoldError):
    """A dead letter is not there, or could not be replayed."""


@dlq_app.command("ls")
def ls(
    reason: ReasonOption = "",
    project: Project = None,
    start: From = "",
    until: To = "",
    state: Annotated[str, typer.Option(help="open, replayed, discarded or any.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines.")] = 50,
    count: Annotated[bool, typer.Option("--count", help="Numbers by project, reason and state instead.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List dead letters, those that failed last first.

    Examples: `spanfold dlq ls`, `spanfold dlq ls --count --state any`,
    `spanfold dlq ls --project default --reason invalid --from 2026-11-25`
    """
    from pipeline.ops.dlq.letters import counts, newest
    from pipeline.ops.dlq.show import print_counts, print_letters

    choice = _choice([], reason, project, start, until, state)
    with _store(data) as (client, _):
        kinds = counts(client, choice)
        if count:
            print_counts(kinds, as_json=as_json)
            return
        print_letters(newest(client, choice, limit), sum(each.letters for each in kinds), as_json=as_json)


@dlq_app.command("show")
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="TOPIC/PARTITION/OFFSET, as `ls` shows it.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the record's bytes to a file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter: why, where, when, its headers and its bytes.

    Examples: `spanfold dlq show spanfold.events/3/1027`, `spanfold dlq show spanfold.events/3/1027 --output record`
    """
    from pipeline.ops.dlq.letters import contents, newest
    from pipeline.ops.dlq.show import print_letter

    choice = _choice([id_], "", None, "", "", "any")
    with _store(data) as (client, _):
        letters = newest(client, choice, 100)
        if not letters:
            raise DeadLetterError(f"There is no dead letter {id_}.", remedy="`spanfold dlq ls --state any` lists all.")
        found = contents(client, letters)
        if output is not None:
            output.write_bytes(found[letters[0].place].value or b"")
        for letter in letters:  # more than one where a topic was made anew and counts from 0 again
            print_letter(letter, found[letter.place], as_json=as_json)


@dlq_app.command("replay")
def replay(
    ids: Ids = None,
    reason: ReasonOption = "",
    project: Project = None,
    start: From = "",
    until: To = "",
    state: Annotated[str, typer.Option(help="open, replayed, discarded or any.")] = "open",
    everything: Everything = False,
    rate: Annotated[float, typer.Option(min=0, help="Letters per second at the most; 0: no limit.")] = 0.0,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send dead letters again, as the records that they were, to the topic that they came from.

    An event that is replayed twice is one event. What fails again is open again. Stopped, the same command goes on.

    Examples: `spanfold dlq replay --reason schema_unavailable --dry-run`,
    `spanfold dlq replay --project default --from 2026-11-25 --rate 500`, `spanfold dlq replay spanfold.events/3/1027`
    """
    from pipeline.ops.dlq.letters import counts
    from pipeline.ops.dlq.replay import replay_to_kafka
    from pipeline.ops.dlq.show import print_counts, print_progress, print_report

    choice = _choice(ids or [], reason, project, start, until, state)
    _must_choose(choice, everything)
    with _store(data) as (client, settings):
        kinds = counts(client, choice)
        if dry_run:
            print_counts(kinds, as_json=as_json)
            return
        number = sum(each.letters for each in kinds)
        report = asyncio.run(replay_to_kafka(client, settings, choice, number, rate, print_progress))
    print_report(report, as_json=as_json)
    if report.failed:
        raise typer.Exit(1)


@dlq_app.command("discard")
def discard(
    ids: Ids = None,
    reason: ReasonOption = "",
    project: Project = None,
    start: From = "",
    until: To = "",
    everything: Everything = False,
    note: Annotated[str, typer.Option(help="Kept beside the mark.")] = "",
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Mark open dead letters as not worth a replay. Their bytes stay until their retention is over.

    Examples: `spanfold dlq discard --reason unknown_format --dry-run`,
    `spanfold dlq discard --project tests --note "load test"`
    """
    from pipeline.ops.dlq.letters import counts, sql
    from pipeline.ops.dlq.show import print_counts

    choice = _choice(ids or [], reason, project, start, until, "open")
    _must_choose(choice, everything)
    with _store(data) as (client, _):
        kinds = counts(client, choice)
        if dry_run:
            print_counts(kinds, as_json=as_json)
            return
        client.command(sql("discard"), parameters=choice.parameters() | {"note": note})
    number = sum(each.letters for each in kinds)
    print(json.dumps({"discarded": number}) if as_json else f"{number} dead letters were discarded")


def register(app: typer.Typer) -> None:
    """Add all of them to the program."""
    app.add_typer(dlq_app, name="dlq", rich_help_panel="Repair")


def _choice(ids: list[str], reason: str, project: str | None, start: str, until: str, state: str) -> "Choice":
    from pipeline.ops.dlq.letters import Choice

    always = Choice()
    choice = Choice(
        tuple(ids),
        reason,
        project,
        state,
        start_of(start, always.start),
        end_of(until, always.until),
    )
    choice.check()
    return choice


def _must_choose(choice: "Choice", everything: bool) -> None:
    always = type(choice)()
    chosen = choice.ids or choice.reason or choice.project is not None
    if not (everything or chosen or choice.start != always.start or choice.until != always.until):
        raise SettingError(
            "Nothing says which dead letters are meant.",
            remedy="Give ids, --reason, --project, --from or --to, or --all; --dry-run shows what is chosen.",
        )


@contextmanager
def _store(data: Path | None) -> Iterator[tuple["Client", "Settings"]]:
    from pipeline.local.stack import find_settings
    from pipeline.store.client import connect

    settings = find_settings(data)
    with closing(connect(settings, deadline=5.0, timeout=600.0)) as client:
        yield client, settings
