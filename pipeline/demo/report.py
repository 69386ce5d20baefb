"""What the demo prints at the end: the tables, the verdict, and what to ask next."""

from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.markup import escape

from pipeline.demo import rag, show
from pipeline.demo.account import Account, differences
from pipeline.demo.freshness import Freshness
from pipeline.demo.queries import sql
from pipeline.demo.rule import Scored
from pipeline.demo.sent import Sent
from pipeline.demo.show import Row

QUESTIONS = (
    """SELECT name, status, latency_ms, total_cost FROM traces
    ORDER BY total_cost DESC LIMIT 5""",
    """SELECT name, quantile(0.95)(latency_ms) AS p95 FROM observations
    GROUP BY name ORDER BY p95 DESC LIMIT 5""",
    """SELECT user_id, count() AS traces, sum(total_cost) AS cost
    FROM traces GROUP BY user_id ORDER BY cost DESC LIMIT 5""",
    """SELECT trace_name, name, status_message FROM observations
    WHERE level = 'ERROR' LIMIT 5""",
    """SELECT partition, sum(new), sum(duplicate), sum(rejected)
    FROM offset_ranges FINAL GROUP BY partition""",
)


class Pictures(NamedTuple):
    """Rows to look at."""

    tree: list[Row]
    models: list[Row]
    scores: list[Row]


class Outcome(NamedTuple):
    """All that a demo found."""

    sent: Sent
    account: Account
    fresh: Freshness
    scored: Scored
    pictures: Pictures

    @property
    def differences(self) -> list[str]:
        """What does not add up, a sentence each."""
        return differences(self.sent, self.account)


def read_pictures(client: Client) -> Pictures:
    """Ask for the rows that are shown. Blocks."""

    def ask(question: str, parameters: dict[str, Any] | None = None) -> list[Row]:
        return list(client.query(sql(question), parameters).named_results())

    return Pictures(ask("tree", {"name": rag.NAME}), ask("cost_by_model"), ask("scores_by_name"))


def print_outcome(outcome: Outcome, console: Console | None = None) -> None:
    """The tables, then whether everything adds up."""
    console = console or Console()
    sent, account, pictures = outcome.sent, outcome.account, outcome.pictures
    for part in (
        show.events_table(sent, account),
        show.rows_table(sent, account),
        show.trace_tree(pictures.tree),
        show.model_table(pictures.models),
        show.score_table(pictures.scores, outcome.scored),
        show.freshness_table(outcome.fresh),
    ):
        console.print()
        console.print(part, highlight=False)
    console.print()
    for difference in outcome.differences:
        console.print(f"[red]✗ does not add up:[/] {escape(difference)}", highlight=False)
    if not outcome.differences:
        ledger, total = account.ledger, account.on_topic.total()
        console.print(
            f"[green]✓[/] {total:,} accepted = {ledger.new:,} new + {ledger.duplicate:,} duplicate + "
            f"{ledger.rejected:,} rejected\n[green]✓[/] the views show exactly what was sent",
            highlight=False,
        )


def print_questions(data: Path | None, console: Console | None = None) -> None:
    """Commands to go on with; `data` is the directory of a stack that stays."""
    console = console or Console()
    how = "from another terminal" if data else "[bold]spanfold demo --keep[/] leaves this stack running"
    console.print(f"\n[bold]Ask more[/] with any SQL; {how}.\n", highlight=False)
    where = f" --data {data}" if data else ""
    for question in QUESTIONS:
        console.print(f'spanfold sql "{question}"{where}', markup=False, highlight=False, soft_wrap=True)
