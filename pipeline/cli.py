"""`spanfold …`: the commands that compose rooms into a running stack, and the registration of all others.

Every command fits on one screen; the work is done in the rooms, which are imported when a command needs them.

Rule: exit codes are 0 good, 1 the check or the work failed, 2 wrong usage or a wrong setting. Errors that are meant
for people are one block on stderr, never a traceback; anything else is a bug and keeps its traceback.
Configured by SPANFOLD_* (pipeline/config.py); commands about a running stack find it through `--data DIR`.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import __version__
from pipeline.audit.commands import register as register_audit_command
from pipeline.errors import SettingError, SpanfoldError
from pipeline.ops.bench_commands import register as register_bench
from pipeline.ops.cost_commands import register as register_cost_commands
from pipeline.ops.dlq.commands import register as register_dlq_commands
from pipeline.ops.ledger.commands import register as register_ledger_command
from pipeline.ops.look_commands import register as register_look_commands
from pipeline.ops.options import Data, Json, dry_run_option
from pipeline.ops.retention.commands import register as register_retention_commands
from pipeline.ops.setup_commands import register as register_setup_commands
from pipeline.ops.user_commands import register as register_user_commands
from pipeline.replay.commands import register as register_replay

if TYPE_CHECKING:
    from pipeline.config import Settings

app = typer.Typer(
    name="spanfold",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Spanfold folds the events of LLM applications into priced, scored rows in ClickHouse while they flow.",
)


def _port(default: str) -> Any:
    """The option of a port; `default` tells what holds without it, where that is a setting's."""
    return typer.Option(min=0, max=65535, help=f"Port; 0 picks a free one.{default and f' [default: {default}]'}")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"spanfold {__version__}")
        raise typer.Exit


@app.callback()
def spanfold(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries log becomes our error; roles log themselves


@app.command(rich_help_panel="Run")
def up(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where data and logs go. [default: SPANFOLD_DATA_DIR]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many worker processes fold events.")] = 1,
    port: Annotated[int | None, _port("SPANFOLD_HTTP_PORT")] = None,
    clickhouse_port: Annotated[int | None, _port("8123")] = None,
    kafka_port: Annotated[int | None, _port("9092")] = None,
    grpc_port: Annotated[int | None, _port("SPANFOLD_GRPC_PORT")] = None,
    as_json: Json = False,
) -> None:
    """Start everything on this machine: broker, store, front door, workers, evaluator.

    Prints where all runs, a project's keys and `ready`. Ctrl-C or SIGTERM stops it within 10 s; the data stays.
    `--port 0` picks free ports for everything.

    Examples: `spanfold up`, `spanfold up --data ./scratch --workers 2 --port 0 --json`
    """
    from pipeline.local.announce import announce_json, announce_tables, tell
    from pipeline.local.up import UpOptions, run_up
    from pipeline.prepare import prepare

    options = UpOptions(data, workers, port, clickhouse_port, kafka_port, grpc_port)
    run_up(options, prepare, announce_json if as_json else announce_tables, tell)


@app.command(rich_help_panel="Run")
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running at the end, until Ctrl-C.")] = False,
    port: Annotated[int, _port("")] = 0,
) -> None:
    """Start a stack in a scratch directory, send recorded traffic of real clients, show what came out.

    Examples: `spanfold demo`, `spanfold demo --keep --port 3000`
    """
    from pipeline.demo import run_demo

    raise typer.Exit(run_demo(keep=keep, port=port))


@app.command(rich_help_panel="Run")
def ingest(data: Data = None) -> None:
    """Run the front door alone: HTTP in, acknowledged by Kafka out.

    Example: `SPANFOLD_KAFKA_BOOTSTRAP=kafka:9092 spanfold ingest`
    """
    from pipeline.ingest import serve
    from pipeline.score_lookup import ScoreLookup

    settings = _as_role(data, "ingest")
    serve(settings, ScoreLookup(settings))


@app.command(rich_help_panel="Run")
def worker(data: Data = None) -> None:
    """Run one worker: it joins the consumer group, folds events and writes rows. Start as many as there are cores.

    Example: `SPANFOLD_KAFKA_BOOTSTRAP=kafka:9092 spanfold worker`
    """
    from pipeline.events.confluent import use_registry
    from pipeline.stream.worker import run_worker

    settings = _as_role(data, "worker")
    use_registry(settings.schema_registry)
    run_worker(settings)


@app.command(rich_help_panel="Run")
def evaluate(data: Data = None) -> None:
    """Run one evaluator: it scores settled traces by the rules of their projects.

    One of them watches ledger and audit, and removes media that no row refers to any more.

    Example: `SPANFOLD_KAFKA_BOOTSTRAP=kafka:9092 spanfold evaluate`
    """
    from pipeline.audit.watch import watch
    from pipeline.ops.retention.watch import sweep_media
    from pipeline.stream.worker import run_evaluator

    run_evaluator(_as_role(data, "evaluator"), watch, sweep_media)


@app.command(rich_help_panel="Set up")
def migrate(data: Data = None) -> None:
    """Bring the tables and views of ClickHouse to this version. Running it twice changes nothing.

    A store that is starting is given half a minute.

    Example: `SPANFOLD_CLICKHOUSE_URL=http://clickhouse:8123 spanfold migrate`
    """
    from pipeline.local.stack import find_settings
    from pipeline.prepare import describe_migrations
    from pipeline.store.migrate import migrate as apply

    print(describe_migrations(apply(find_settings(data))))


@app.command(rich_help_panel="Set up")
def topics(
    data: Data = None,
    grow: Annotated[int | None, typer.Option("--grow", min=1, metavar="N", help="Raise to N partitions, live.")] = None,
    dry_run: Annotated[bool, dry_run_option("With --grow: only say what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --grow: print JSON.")] = False,
) -> None:
    """Make the topics that are missing and report those that are not as they must be; or let them grow.

    A broker that is starting is given half a minute.

    Examples: `SPANFOLD_KAFKA_BOOTSTRAP=kafka:9092 SPANFOLD_TOPIC_PARTITIONS=16 spanfold topics`,
    `spanfold topics --grow 32 --dry-run`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.topics import ensure_topics

    if grow is not None:
        from pipeline.ops.topics_grow import run_grow

        run_grow(find_settings(data), grow, dry_run=dry_run, as_json=as_json)
        return
    if dry_run or as_json:
        raise typer.BadParameter("is for --grow N", param_hint="--dry-run, --json")
    from pipeline.prepare import describe_topics

    print(describe_topics(asyncio.run(ensure_topics(find_settings(data)))))


register_setup_commands(app)
register_look_commands(app)
register_bench(app)
register_cost_commands(app)
register_dlq_commands(app)
register_ledger_command(app)
register_audit_command(app)
register_retention_commands(app)
register_user_commands(app)
register_replay(app)


def _as_role(data: Path | None, role: str) -> "Settings":
    """Settings for a process that runs for long: its logs are set up, too."""
    from pipeline.local.stack import find_settings
    from pipeline.ops.logs import configure_logs

    settings = find_settings(data)
    configure_logs(settings, role)
    return settings


def main() -> None:
    """The entry point of the console script; turns errors meant for people into one block and an exit code."""
    try:
        app(prog_name="spanfold")
    except SpanfoldError as error:
        message, remedy = error.args[0], error.remedy
        print(f"spanfold: {message}" + (f"\n  -> {remedy}" if remedy else ""), file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingError) else 1)
    except BrokenPipeError:  # the reader, such as `head`, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush fails too
        sys.exit(1)


if __name__ == "__main__":
    main()
