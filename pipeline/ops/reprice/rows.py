"""What is stored of the traces of a piece, as far as their cost goes."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.cost.context import KEYS
from pipeline.ops.reprice.pieces import Piece, Scope, sql


class Observation(NamedTuple):
    """One observation's newest row; `started` in microseconds, `parent` its place in the tree ("" at the top)."""

    trace_id: str
    observation_id: str
    parent: str
    depth: int
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
    subtree_cost: Decimal | None
    subtree_tokens: int
    row_version: int


class Trace(NamedTuple):
    """A trace's newest row."""

    trace_id: str
    usage: dict[str, int]
    cost: dict[str, Decimal]
    total_cost: Decimal | None
    row_version: int


class Stored(NamedTuple):
    """One trace with all of its observations; no row of its own where a worker has yet to write it."""

    trace: Trace | None
    observations: list[Observation]


def stored_traces(client: Client, scope: Scope, piece: Piece) -> Iterator[Stored]:
    """The piece's traces, one by one."""
    parameters = {**scope.parameters(), **piece.parameters(), "context": sorted(KEYS)}
    traces = {row[0]: Trace(*row) for row in client.query(sql("traces"), parameters=parameters).result_rows}
    with client.query_rows_stream(sql("observations"), parameters=parameters) as rows:
        for trace_id, group in groupby((Observation(*row) for row in rows), lambda each: each.trace_id):
            yield Stored(traces.get(trace_id), list(group))
