"""The tables of the demo: rows in, something to print out. Everything fits a terminal of 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipeline.demo.account import Account
from pipeline.demo.freshness import LOAD, Freshness
from pipeline.demo.rule import LIMIT_MS, NAME, SHARE, Scored
from pipeline.demo.sent import Sent, Source

Row = Mapping[str, Any]  # a row of a view, by column
_LABELS = {Source.HTTP: "HTTP, as recorded", Source.KAFKA: "Kafka producer", Source.EVALUATOR: "evaluator"}
_UNKNOWN_PRICE = "[yellow]unknown price[/]"
_GUIDE = 4  # columns that a level of a rich tree takes


def events_table(sent: Sent, account: Account) -> Table:
    """Events in: by source, and what became of them."""
    table = _table("Events in", "", "accepted", "new", "duplicate", "rejected")
    for source, label in _LABELS.items():
        counts = (account.archived[source], account.duplicates(source), account.rejected[source])
        table.add_row(label, *_numbers(account.on_topic[source], *counts))
    ledger = account.ledger
    table.add_section()
    total = _numbers(account.on_topic.total(), ledger.new, ledger.duplicate, ledger.rejected)
    table.add_row("together, by the ledger", *total, style="bold")
    if sent.refused:
        table.caption = f"{sent.refused:,} more were answered 400 by the front door and never accepted."
    return table


def rows_table(sent: Sent, account: Account) -> Table:
    """Rows out: what was sent and what the views show."""
    rows, entities = account.rows, sent.entities
    table = _table("Rows out", "view", "sent", "rows")
    table.add_row("traces", *_numbers(len(entities.traces), rows.traces))
    table.add_row("observations", *_numbers(len(entities.observations), rows.observations))
    table.add_row("scores", *_numbers(len(entities.scores), rows.scores))
    table.add_row("scores made by the evaluator", "", *_numbers(rows.evaluated))
    return table


def trace_tree(observations: Sequence[Row]) -> Tree:
    """One trace as a tree: type, latency, tokens and cost of each step, and of the root with everything below it."""
    if not observations:
        return Tree("[bold]One trace[/] [red]none is there[/]")
    tree = Tree(f"[bold]One trace[/] {escape(observations[0]['trace_id'])} [dim](the first line sums up all)[/]")
    depth = {"": 0}
    parents = {}
    for row in observations:
        id_, parent = row["observation_id"], row["parent_observation_id"]
        parents[id_] = parent if parent in depth else ""  # one that is missing must not hide the verdict below
        depth[id_] = depth[parents[id_]] + 1
    width = max(_GUIDE * depth[row["observation_id"]] + len(row["name"]) for row in observations)
    branches = {"": tree}
    for row in observations:
        id_ = row["observation_id"]
        branches[id_] = branches[parents[id_]].add(_step(row, width - _GUIDE * depth[id_]))
    return tree


def model_table(models: Sequence[Row]) -> Table:
    """Cost by model; what has no known price says so."""
    table = _table("Cost by model", "model", "calls", "unpriced", "tokens", "cost")
    for row in models:
        cost = _UNKNOWN_PRICE if row["cost"] is None else f"${row['cost']:,.4f}"
        unknown = f"{row['without_cost']:,}" if row["without_cost"] else ""
        table.add_row(escape(row["model"]), f"{row['calls']:,}", unknown, f"{row['tokens']:,}", cost)
    return table


def score_table(scores: Sequence[Row], evaluated: Scored) -> Table:
    """Scores by name and source, and how far the evaluator has come."""
    table = _table("Scores", "score", "source", "type", "scores", "average")
    for row in scores:
        average = "" if row["average"] is None else f"{row['average']:.3f}"
        count = f"{row['scores']:,}"
        table.add_row(escape(row["name"]), row["source"].lower(), row["data_type"].lower(), count, average)
    table.columns[2].justify = table.columns[1].justify = "left"
    table.caption = (
        f"The rule {NAME!r} (latency up to {LIMIT_MS:,} ms) judges {SHARE:.0%} of the traces: "
        f"{evaluated.scored:,} of {evaluated.chosen:,} chosen ones are scored."
    )
    return table


def freshness_table(fresh: Freshness) -> Table:
    """From sending an event to seeing its row."""
    table = _table("Freshness: event sent to row visible", "load", "watched", "p50", "p99", "max", "missing")
    figures = [f"{fresh.percentile(percent):.2f} s" for percent in (50, 99, 100)] if fresh.seconds else ["", "", ""]
    table.add_row(f"{LOAD} events/s", f"{len(fresh.seconds):,}", *figures, f"{fresh.missing:,}")
    return table


def _step(row: Row, width: int) -> str:
    """Cells of a fixed width, so that steps of every depth line up."""
    root = row["parent_observation_id"] == ""
    cost, tokens = (row["subtree_cost"], row["subtree_tokens"]) if root else (row["total_cost"], row["tokens"])
    price = f"${cost:.6f}" if cost is not None else _UNKNOWN_PRICE if row["model"] else ""
    latency = "" if row["latency_ms"] is None else f"{row['latency_ms']:,.0f} ms"
    amount = f"{tokens:,} tokens" if tokens else ""
    style = "red" if row["level"] == "ERROR" else "bold" if root else "default"
    name = escape(row["name"].ljust(width))
    return f"[{style}]{name}[/]  [dim]{row['type'].lower():<10}[/] {latency:>9} {amount:>13}  {price}"


def _table(title: str, first: str, *figures: str) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first)
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    return table


def _numbers(*counts: int) -> list[str]:
    return [f"{count:,}" for count in counts]
