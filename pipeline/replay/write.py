"""Writing one portion: 1 newly found events are archived, 2 what changes in cost is noted, 3 rows, 4 stale rows go.

Every step may be done twice. The rows go to the live tables or, through another client, to the shadow tables; the
archive and the history of costs are the live ones. Into the shadow tables 2 and 4 are left to the swap.
"""

import asyncio
import time
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from pipeline.events.keys import is_trace
from pipeline.ops.retention.rules import Rules
from pipeline.replay.fold import Portion
from pipeline.replay.scope import BIG_QUERY, Chosen, hours, sql
from pipeline.store.insert import Inserter, Refused
from pipeline.store.lookups import stored_columns
from pipeline.store.reprice_rows import CostHistoryRow
from pipeline.store.retention import Kind
from pipeline.store.rows import ObservationRow
from pipeline.store.tables import COST_HISTORY, OBSERVATIONS, RAW_EVENTS, SCORES, TRACES

_PLACES = Decimal("1e-12")
TOMBSTONE = {  # above every row of an earlier epoch, below every one that is made under this
    "updated_at": "now64(6, 'UTC')",
    "row_version": "%(epoch)s * 1099511627776",
    "is_deleted": "1",
}


class Old(NamedTuple):
    """What an observation cost."""

    project_id: str
    trace_id: str
    observation_id: str
    started: int
    model: str
    cost: dict[str, Decimal]
    total_cost: Decimal | None
    price_id: str
    row_version: int


class Writer:
    """Writes the portions of one run; `target` is None for the live tables."""

    def __init__(self, client: Client, target: Client | None, epoch: int, reason: str, rules: Rules) -> None:
        """`rules` say how long the history of costs stays."""
        self._rules = rules
        self._client, self._live, self._epoch, self._reason = client, target is None, epoch, reason
        self._archive = Inserter(client)
        self._rows = self._archive if target is None else Inserter(target)
        self._columns = {table: stored_columns(client, table) for table in (OBSERVATIONS, SCORES)}

    async def write(self, portion: Portion) -> list[Refused]:
        """Make it durable; what ClickHouse refuses for what is in it comes back, all else is stored."""
        token, rows = uuid4().hex, portion.rows
        refused = await self._archive.insert(RAW_EVENTS, portion.found, f"{token}/raw")  # 1
        if self._live:
            history = await asyncio.to_thread(self._history, rows.observations)
            await self._archive.insert(COST_HISTORY, history, f"{token}/history")  # 2
        for table, some in ((OBSERVATIONS, rows.observations), (SCORES, rows.scores), (TRACES, rows.traces)):
            refused += await self._rows.insert(table, some, f"{token}/{table}")  # 3
        if self._live and portion.whole:
            await asyncio.to_thread(self._bury, portion.whole)  # 4
        return refused

    def close(self) -> None:
        """Stop the threads; the clients are the caller's."""
        self._archive.close()
        self._rows.close()

    def _history(self, rows: Sequence[ObservationRow]) -> list[CostHistoryRow]:
        now = time.time_ns() // 1000
        old = {(each.project_id, each.trace_id, each.observation_id): each for each in self._costs(rows)}
        found = []
        for row in rows:
            was = old.get((row.project_id, row.trace_id, row.observation_id))
            if was is not None and not row.is_deleted and was.cost != _rounded(row.cost):
                until = self._rules.until(Kind.COST_HISTORY, row.project_id, row.trace_id, now)
                found.append(_history(was, row, self._epoch, self._reason, now, until))
        return found

    def _costs(self, rows: Sequence[ObservationRow]) -> list[Old]:
        keys = {(row.project_id, row.trace_id) for row in rows}
        if not keys:
            return []
        parameters: dict[str, Any] = {"keys": tuple(keys), **hours(row.first_seen for row in rows)}
        only = ""
        if len(keys) == 1:  # perhaps a portion of a giant
            only = "AND observation_id IN %(ids)s"
            parameters["ids"] = tuple(row.observation_id for row in rows)
        query = sql("costs").format(only=only)
        result = self._client.query(query, parameters=parameters, settings={"max_query_size": 64 * 2**20})
        return [Old(*row) for row in result.result_rows]

    def _bury(self, whole: Sequence[Chosen]) -> None:
        names = [each.name for each in whole]
        ids = {trace if is_trace(trace) else "" for _, trace in names}
        parameters = {
            "keys": tuple(names),
            "ids": tuple(ids),
            "epoch": self._epoch,
            **hours(each.first_seen for each in whole),
        }
        for table, trace in ((OBSERVATIONS, "trace_id"), (SCORES, "if(score_group = '', trace_id, score_group)")):
            columns = self._columns[table]
            chosen = ", ".join(TOMBSTONE.get(column, column) for column in columns)
            query = sql("stale").format(table=table, columns=", ".join(columns), chosen=chosen, trace=trace)
            self._client.command(query, parameters=parameters, settings=BIG_QUERY)


def _rounded(cost: dict[str, Decimal]) -> dict[str, Decimal]:
    """As the store keeps it."""
    return {key: amount.quantize(_PLACES, ROUND_HALF_EVEN) for key, amount in cost.items()}


def _history(was: Old, row: ObservationRow, epoch: int, reason: str, now: int, until: int) -> CostHistoryRow:
    return CostHistoryRow(
        project_id=was.project_id,
        trace_id=was.trace_id,
        observation_id=was.observation_id,
        start_time=row.start_time,
        model=row.model,
        old_cost=was.cost,
        new_cost=row.cost,
        old_total_cost=was.total_cost,
        new_total_cost=row.total_cost,
        old_price_id=was.price_id,
        new_price_id=row.price_id,
        epoch=epoch,
        reason=reason,
        repriced_at=now,
        old_version=was.row_version,
        new_version=row.row_version,
        expires_at=until,
    )
