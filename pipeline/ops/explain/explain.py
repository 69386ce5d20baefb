"""The arithmetic of one observation's cost, from what was received to the last digit, and whether it still holds.

The stored row is explained with the book that the registry has now: where that gives another cost than is stored, both
are shown, with the command that corrects it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.cost.book import Price, PriceBook
from pipeline.cost.context import KEYS, context_of
from pipeline.cost.document import EMPTY, check_document
from pipeline.cost.price import billed, compute, input_size
from pipeline.cost.usage import normalise
from pipeline.errors import SpanfoldError
from pipeline.events.model import Fields, Micros
from pipeline.registry import open_registry
from pipeline.store.client import connect

SQL = Path(__file__).parent / "sql"


class NothingToExplainError(SpanfoldError):
    """There is no such observation, or several."""


class Stored(NamedTuple):
    """What is stored of the observation's cost; `started` in microseconds."""

    trace_id: str
    observation_id: str
    name: str
    type: str
    started: int
    model: str
    model_parameters: str
    context: dict[str, str]
    usage: dict[str, int]
    usage_provided: dict[str, int]
    usage_source: str
    usage_rule: str
    cost: dict[str, Decimal]
    total_cost: Decimal | None
    cost_source: str
    price_id: str
    priced_model: str
    flags: list[str]
    row_version: int


def explain(settings: Settings, project: str, observation: str) -> list[str]:
    """The lines to print. Raises NothingToExplainError, StoreError, RegistryError."""
    with closing(open_registry(settings.registry)) as registry, closing(connect(settings, deadline=5.0)) as client:
        row = _stored(client, project, observation)
        newest = registry.newest_prices()
        book = PriceBook(check_document(newest.document) if newest else EMPTY, epoch=newest.epoch if newest else 0)
        parameters = {"project": project, "trace": row.trace_id, "observation": observation}
        history = client.query((SQL / "history.sql").read_text("utf-8"), parameters=parameters).result_rows
        return [*lines(row, project, book), *_history(history)]


def lines(row: Stored, project: str, book: PriceBook) -> Iterator[str]:
    """The explanation without its history."""
    yield f"observation {row.observation_id} ({row.type} {row.name!r}) of trace {row.trace_id}"
    yield f"  started  {_time(row.started)}"
    yield f"  model    {row.model or '-'}" + (f", priced as {row.priced_model}" if row.priced_model else "")
    yield from _usage_lines(row)
    if row.cost_source == "provided":
        yield "cost: given by the client, which wins over any price"
        yield from (f"  {key:<24} {amount:.12f}" for key, amount in row.cost.items() if key != "total")
        yield f"  {'total':<24} {row.total_cost:.12f}"
        return
    fields = cast(Fields, {"model_parameters": row.model_parameters, "metadata": row.context})
    price = book.price(project, row.model, Micros(row.started), fields) if row.model else None
    if price is None:
        yield "cost: unknown (NULL): " + ("no book knows the model" if row.model else "no model was given")
        yield "  -> give it a price: see docs/cost.md, then spanfold reprice" if row.model else "  -> send the model"
        return
    yield from _price_lines(row, price, context_of(fields), book.epoch)


def _usage_lines(row: Stored) -> Iterator[str]:
    if row.usage_source == "none":
        yield "usage: none was given, and none could be counted"
        return
    if row.usage_source == "estimated":
        yield f"usage: none was given; counted from the texts by {row.usage_rule}"
    else:
        yield f"usage: as received, read by rule {row.usage_rule or '(not recorded)'}"
        yield from (f"  {key:<46} {count:>14}" for key, count in row.usage_provided.items())
        now = normalise(row.usage_provided, row.model)
        if now.usage != row.usage:
            yield f"  note: today's rules ({now.rule}) read it as {now.usage}; stored is {row.usage}"
    yield "canonical, disjoint:"
    yield from (f"  {key:<46} {count:>14}" for key, count in row.usage.items())
    if row.flags:
        yield f"  flags: {', '.join(row.flags)}"


def _price_lines(row: Stored, price: Price, context: Mapping[str, str], epoch: int) -> Iterator[str]:
    conditions = "".join(f", {key} = {value}" for key, value in context.items())
    yield f"price: {price.id} (book {epoch}{conditions})"
    size = input_size(row.usage)
    for key, count in billed(row.usage, price).items():
        unit = price.rates.unit(key, size)
        if unit is None:
            yield f"  {key:<24} {count:>14}   has no price: not charged"
        else:
            yield f"  {key:<24} {count:>14} x {unit.price.normalize():f} / {unit.per} = {unit.amount(count):.12f}"
    cost, _ = compute(row.usage, price)
    if not cost:
        yield "cost: unknown (NULL): there is no usage of a kind that has a price"
        return
    yield f"  {'total':<24} {'':>14}   {cost['total']:.12f}"
    stored = "unknown" if row.total_cost is None else f"{row.total_cost:.12f}"
    if row.total_cost == cost["total"]:
        yield f"stored: {stored} by {row.price_id}: the same"
    else:
        yield f"stored: {stored} by {row.price_id or 'no price'}: DIFFERS from today's book"
        yield "  -> spanfold reprice --from ... --to ... --dry-run"


def _history(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    if rows:
        yield "history:"
    for at, old, new, old_id, new_id, epoch, reason in rows:
        change = f"{_usd(old)} -> {_usd(new)}  {old_id or '-'} -> {new_id or '-'}"
        yield f"  {at:%Y-%m-%d %H:%M:%S} {change} (book {epoch}) {reason}".rstrip()


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:.12f}"


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="microseconds")


def _stored(client: Client, project: str, observation: str) -> Stored:
    parameters = {"project": project, "observation": observation, "context": sorted(KEYS)}
    rows = client.query((SQL / "observation.sql").read_text("utf-8"), parameters=parameters).result_rows
    if not rows:
        raise NothingToExplainError(
            f"The project {project!r} has no observation {observation!r}.", remedy="Check both ids."
        )
    if len(rows) > 1:
        raise NothingToExplainError(
            f"Several traces of {project!r} have an observation {observation!r}.",
            remedy="Ask for it with spanfold sql: SELECT * FROM observations WHERE observation_id = ...",
        )
    return Stored(*rows[0])
