"""The commands that make users of ClickHouse and say what users of Kafka need; cli.py registers them."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import SettingError


def clickhouse_users(
    passwords: Annotated[
        Path, typer.Option("--passwords", metavar="DIR", help="A file NAME for each user; missing ones are made.")
    ],
    owner: Annotated[
        str, typer.Option(help="The operator: migrates, replays, applies retention.")
    ] = "spanfold_migrate",
    writer: Annotated[str, typer.Option(help="What worker, ingest and evaluate run as.")] = "spanfold_roles",
    reader: Annotated[list[str] | None, typer.Option(help="Who reads everything. [default: spanfold_read]")] = None,
    analyst: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PROJECT", help="Who reads the rows of one project only.")
    ] = None,
    send: Annotated[bool, typer.Option("--apply", help="Send the statements, as SPANFOLD_CLICKHOUSE_USER.")] = False,
) -> None:
    """Print the statements that make ClickHouse users with least privilege, passwords as salted hashes.

    Examples: `spanfold clickhouse-users --passwords ./secrets --analyst ann=shop`,
    `spanfold clickhouse-users --passwords ./secrets --apply`
    """
    from pipeline.local.stack import load_settings
    from pipeline.ops.clickhouse_users import Users, read_hashes, run_statements, statements

    readers = tuple(reader) if reader is not None else ("spanfold_read",)
    users = Users(owner, writer, readers, dict(_pair(each) for each in analyst or ()))
    settings = load_settings()
    made = statements(settings, users, read_hashes(passwords, users.roles()))
    if send:
        run_statements(settings, made)
        print(f"{len(made)} statements applied")
    else:
        print("\n".join(f"{statement};" for statement in made))


def kafka_acls(
    ingest: Annotated[str, typer.Option(help="Principal of front doors; empty: leave out.")] = "User:spanfold-ingest",
    worker: Annotated[str, typer.Option(help="Principal of workers.")] = "User:spanfold-worker",
    evaluator: Annotated[str, typer.Option(help="Principal of evaluators.")] = "User:spanfold-evaluator",
    operator: Annotated[str, typer.Option(help="Principal of who runs commands.")] = "User:spanfold-operator",
) -> None:
    """Print the commands of Kafka's own tool that give each role just the rights it needs.

    Examples: `spanfold kafka-acls`, `spanfold kafka-acls --worker User:fold --operator "" | sh`
    """
    from pipeline.local.stack import load_settings
    from pipeline.ops.kafka_rights import EVALUATOR, INGEST, OPERATOR, WORKER, commands

    named = {INGEST: ingest, WORKER: worker, EVALUATOR: evaluator, OPERATOR: operator}
    for principal in filter(None, named.values()):
        if not all(principal.partition(":")):
            raise SettingError(f"{principal!r} is no principal.", remedy="Write User:NAME, as Kafka does.")
    print("\n".join(commands(load_settings(), {who: principal for who, principal in named.items() if principal})))


def _pair(text: str) -> tuple[str, str]:
    name, found, project = text.partition("=")
    if not found or not project:
        raise SettingError(f"--analyst is {text!r}.", remedy="Write NAME=PROJECT.")
    return name, project


def register(app: typer.Typer) -> None:
    """Add them to the program."""
    app.command(name="clickhouse-users", rich_help_panel="Set up")(clickhouse_users)
    app.command(name="kafka-acls", rich_help_panel="Set up")(kafka_acls)
