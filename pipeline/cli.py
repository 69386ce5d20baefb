"""`spanfold …`: every command in one screen each; the work is done in the rooms, imported when a command needs them.

Rule: exit codes are 0 good, 1 the check or the work failed, 2 wrong usage or a wrong setting. Errors that are meant
for people are one block on stderr, never a traceback; anything else is a bug and keeps its traceback.
Configured by SPANFOLD_* (pipeline/config.py); commands about a running stack find it through `--data DIR`.
"""

import asyncio
import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__
from pipeline.audit.commands import register as register_audit_command
from pipeline.errors import SettingError, SpanfoldError
from pipeline.ops.cost_commands import register as register_cost_commands
from pipeline.ops.dlq.commands import register as register_dlq_commands
from pipeline.ops.ledger.commands import register as register_ledger_command
from pipeline.ops.retention.commands import register as register_retention_commands
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

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The data directory of a running stack. [default: SPANFOLD_DATA_DIR]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")]


class RowFormat(StrEnum):
    """How `spanfold sql` prints rows."""

    JSON = "json"
    TABLE = "table"
    CSV = "csv"


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
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Where data and logs go.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many worker processes fold events.")] = 1,
    port: Port = None,
    clickhouse_port: Port = None,
    kafka_port: Port = None,
    grpc_port: Port = None,
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
    port: Port = 0,
) -> None:
    """Start a stack in a scratch directory, send recorded traffic of real clients, show what came out.

    Examples: `spanfold demo`, `spanfold demo --keep --port 3000`
    """
    from pipeline.demo import run_demo

    raise typer.Exit(run_demo(keep=keep, port=port or 0))


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --grow: only say what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --grow: print JSON.")] = False,
) -> None:
    """Make the topics that are missing and report those that are not as they must be; or let them grow.

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


@app.command(rich_help_panel="Set up")
def keys(
    data: Data = None,
    create: Annotated[str, typer.Option("--create", metavar="PROJECT", help="Make a key pair for a project.")] = "",
    revoke: Annotated[str, typer.Option("--revoke", metavar="PUBLIC_KEY", help="End a key for good.")] = "",
) -> None:
    """List the API keys; make one (its secret is shown this once) or revoke one (refused within 5 s).

    Examples: `spanfold keys`, `spanfold keys --create default`, `spanfold keys --revoke pk-lf-…`
    """
    from pipeline.local.stack import find_settings
    from pipeline.registry.commands import run_keys

    run_keys(find_settings(data, must_run=False).registry, create, revoke)


@app.command(rich_help_panel="Set up")
def limits(
    project: Annotated[str, typer.Argument(help="The project's id.")],
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


@app.command(name="check-config", rich_help_panel="Set up")
def check_config() -> None:
    """Print every setting, its value (secrets masked), where it came from and what is wrong. Exit 2 if anything is.

    Example: `SPANFOLD_HTTP_PORT=http spanfold check-config`
    """
    from pipeline.ops.check import print_settings

    raise typer.Exit(2 if print_settings() else 0)


@app.command(rich_help_panel="Look")
def lag(
    data: Data = None,
    max_lag: Annotated[int | None, typer.Option(min=0, help="Exit 1 when any partition is further behind.")] = None,
    as_json: Json = False,
) -> None:
    """Show how far every consumer group is behind, per partition.

    Examples: `spanfold lag`, `spanfold lag --max-lag 10000`, `spanfold lag --json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.lag import print_lag, read_lag

    rows = asyncio.run(read_lag(find_settings(data)))
    print_lag(rows, as_json=as_json)
    if max_lag is not None and any(row.lag > max_lag for row in rows):
        raise typer.Exit(1)


@app.command(rich_help_panel="Look")
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement; `-` reads it from stdin.")],
    row_format: Annotated[RowFormat, typer.Option("--format", help="How rows are printed.")] = RowFormat.TABLE,
    data: Data = None,
) -> None:
    """Ask ClickHouse, read-only, in the database of Spanfold. Rows stream, whatever their number.

    `json` is one array of objects: times in ISO 8601 with microseconds and Z, decimals as strings, maps as objects.

    Examples: `spanfold sql "SELECT name, total_cost FROM traces"`, `spanfold sql "SHOW TABLES" --format json`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.sql import print_rows

    print_rows(find_settings(data), sys.stdin.read() if query == "-" else query, row_format.value)


@app.command(rich_help_panel="Look")
def explain(
    file: Annotated[Path, typer.Argument(help="An OTLP export, protobuf or JSON, also gzip; `-` reads stdin.")],
    as_json: Json = False,
) -> None:
    """Show how the spans of an OTLP export are read: each field, and the mapper and rule that set it.

    Examples: `spanfold explain export.bin`, `spanfold explain export.json --json`
    """
    from pipeline.events.mapping.explain import print_explained

    print_explained(file, as_json=as_json)


@app.command(rich_help_panel="Look")
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Check this machine and what Spanfold talks to; every failure comes with a remedy. Exit 1 if anything fails.

    Examples: `spanfold doctor`, `spanfold doctor --data ./scratch`
    """
    from pipeline.local.stack import find_settings
    from pipeline.ops.doctor import examine, print_findings

    findings = asyncio.run(examine(find_settings(data, must_run=False)))
    print_findings(findings, as_json=as_json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command(rich_help_panel="Look")
def bench(
    events: Annotated[int, typer.Option(min=1, help="How many events each run folds.")] = 200_000,
    runs: Annotated[int, typer.Option(min=1, help="How many runs; their spread tells how quiet the machine is.")] = 3,
    open_traces: Annotated[int, typer.Option(min=1, help="How many traces are unfinished at a time.")] = 1_000,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure the plain Faust way of the same work, too.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with the logs.")] = False,
    ingest: Annotated[bool, typer.Option("--ingest", help="Measure the front door instead.")] = False,
    as_json: Json = False,
) -> None:
    """Measure a worker on a broker and a store of its own: CPU per event, events per second, memory.

    Examples: `spanfold bench`, `spanfold bench --events 1000000 --compare --json`, `spanfold bench --ingest`
    """
    if ingest:
        from pipeline.ops.bench.ingest import run_ingest_bench

        run_ingest_bench(events, runs, keep=keep, as_json=as_json)
        return
    from pipeline.ops.bench.run import BenchOptions, run_bench

    run_bench(BenchOptions(events, runs, open_traces, compare, keep), as_json=as_json)


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
