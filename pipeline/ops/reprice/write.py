"""Writing what was computed: 1 the history, 2 the new values, 3 observations, 4 traces.

3 and 4 are INSERT … SELECT: the row as it stands joined with its new values, so nothing else of it changes and its
texts stay in the store. A row that a worker has written meanwhile (another version) is left alone: it has the new
price. A crash after any step is repaired by the same command: what is written already comes out as unchanged.
"""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.ops.reprice.pieces import Piece, sql
from pipeline.ops.reprice.values import Changed, ChangedTrace, Revised
from pipeline.ops.retention.rules import Rules
from pipeline.store.lookups import stored_columns
from pipeline.store.native import encode
from pipeline.store.reprice_rows import CostHistoryRow, RepriceValueRow
from pipeline.store.retention import Kind
from pipeline.store.tables import COST_HISTORY, OBSERVATIONS, REPRICE_VALUES, TABLES, TRACES

# Columns of the stored row that get a new value, and the expression that gives it; all others are taken as they are.
_OBSERVATION = {
    "usage": "s.usage", "usage_rule": "s.usage_rule", "cost": "s.cost",
    "total_cost": "CAST(s.total_cost, 'Nullable(Decimal(18, 12))')", "cost_source": "s.cost_source",
    "price_id": "s.price_id", "priced_model": "s.priced_model", "flags": "s.flags", "subtree_cost": "s.subtree_cost",
    "subtree_tokens": "s.subtree_tokens", "row_version": "s.new_version", "updated_at": "now64(6, 'UTC')",
}  # fmt: skip
_TRACE = {
    "usage": "s.usage", "total_tokens": "s.usage['total']", "cost": "s.cost", "total_cost": "s.total_cost",
    "row_version": "s.new_version", "updated_at": "now64(6, 'UTC')",
}  # fmt: skip


class Writer:
    """Writes the pieces of one run."""

    def __init__(self, client: Client, run: str, epoch: int, reason: str, rules: Rules) -> None:
        """`rules` say how long the history of costs stays."""
        self._client, self._run, self._epoch, self._reason, self._rules = client, run, epoch, reason, rules
        self._columns = {table: stored_columns(client, table) for table in (OBSERVATIONS, TRACES)}

    def write(self, piece: Piece, revised: Sequence[Revised]) -> None:
        """Steps 1 to 4 for one piece; nothing where nothing changed."""
        changed = [each for one in revised for each in one.observations]
        traces = [one.trace for one in revised if one.trace is not None]
        now = time.time_ns() // 1000
        costly = [each for each in changed if each.priced.cost != each.old.cost]
        self._insert(COST_HISTORY, [self._history(piece, each, now) for each in costly])  # 1
        values = [self._value(piece, each) for each in changed] + [self._trace_value(piece, each) for each in traces]
        self._insert(REPRICE_VALUES, values)  # 2
        if changed:
            self._rewrite(OBSERVATIONS, piece, _OBSERVATION, ("trace_id", "observation_id"), "!=")  # 3
        if traces:
            self._rewrite(TRACES, piece, _TRACE, ("trace_id",), "=")  # 4

    def _insert(self, name: str, rows: Sequence[NamedTuple]) -> None:
        if rows:
            table = TABLES[name]
            self._client.raw_insert(name, list(table.columns), bytes(encode(table, rows)), fmt="Native")

    def _rewrite(
        self, table: str, piece: Piece, changes: dict[str, str], keys: Iterable[str], observation_is: str
    ) -> None:
        columns = self._columns[table]
        chosen = ", ".join(changes.get(column, f"o.{column}") for column in columns)
        joined = " AND ".join(f"o.{key} = s.{key}" for key in keys)
        query = sql("rewrite").format(
            table=table, columns=", ".join(columns), chosen=chosen, joined=joined, observation_is=observation_is
        )
        self._client.command(query, parameters={**piece.parameters(), "run": self._run})

    def _history(self, piece: Piece, each: Changed, now: int) -> CostHistoryRow:
        old, new = each.old, each.priced
        return CostHistoryRow(
            project_id=piece.project_id,
            trace_id=old.trace_id,
            observation_id=old.observation_id,
            start_time=old.started,
            model=old.model,
            old_cost=old.cost,
            new_cost=new.cost,
            old_total_cost=old.total_cost,
            new_total_cost=new.total_cost,
            old_price_id=old.price_id,
            new_price_id=new.price_id,
            epoch=self._epoch,
            reason=self._reason,
            repriced_at=now,
            old_version=old.row_version,
            new_version=each.new_version,
            expires_at=self._rules.until(Kind.COST_HISTORY, piece.project_id, old.trace_id, now),
        )

    def _value(self, piece: Piece, each: Changed) -> RepriceValueRow:
        priced = each.priced
        return RepriceValueRow(
            run=self._run,
            piece=piece.number,
            project_id=piece.project_id,
            trace_id=each.old.trace_id,
            observation_id=each.old.observation_id,
            usage=priced.usage,
            usage_rule=priced.usage_rule,
            cost=priced.cost,
            total_cost=priced.total_cost,
            cost_source=priced.cost_source,
            price_id=priced.price_id,
            priced_model=priced.priced_model,
            flags=each.flags,
            subtree_cost=each.subtree_cost,
            subtree_tokens=each.subtree_tokens,
            old_version=each.old.row_version,
            new_version=each.new_version,
        )

    def _trace_value(self, piece: Piece, each: ChangedTrace) -> RepriceValueRow:
        return RepriceValueRow(
            run=self._run,
            piece=piece.number,
            project_id=piece.project_id,
            trace_id=each.old.trace_id,
            observation_id="",
            usage=each.usage,
            usage_rule="",
            cost=each.cost,
            total_cost=each.cost.get("total"),
            cost_source="",
            price_id="",
            priced_model="",
            flags=[],
            subtree_cost=None,
            subtree_tokens=0,
            old_version=each.old.row_version,
            new_version=each.new_version,
        )
