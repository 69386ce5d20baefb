"""The commands that look at a stack and change nothing; cli.py registers them."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.ops.options import Data, Json


class RowFormat(StrEnum):
    """How `spanfold sql` prints rows."""

    JSON = "json"
    TABLE = "table"
    CSV = "csv"


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


def explain(
    file: Annotated[Path, typer.Argument(help="An OTLP export, protobuf or JSON, also gzip; `-` reads stdin.")],
    as_json: Json = False,
) -> None:
    """Show how the spans of an OTLP export are read: each field, and the mapper and rule that set it.

    Examples: `spanfold explain export.bin`, `spanfold explain export.json --json`
    """
    from pipeline.events.mapping.explain import print_explained

    print_explained(file, as_json=as_json)


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


def register(app: typer.Typer) -> None:
    """Add all of them to the program."""
    for command in (lag, sql, explain, doctor):
        app.command(rich_help_panel="Look")(command)
