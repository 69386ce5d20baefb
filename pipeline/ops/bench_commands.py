"""`spanfold bench`; cli.py registers it."""

from typing import Annotated

import typer

from pipeline.ops.options import Json


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


def register(app: typer.Typer) -> None:
    """Add it to the program."""
    app.command(rich_help_panel="Look")(bench)
