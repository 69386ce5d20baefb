"""`spanfold retention apply`: rows that were written under other rules get the moment that holds now.

Rule: table by table and partition by partition, each by one ALTER … UPDATE that is waited for, so never more than one
partition is rewritten at a time, and only its column `expires_at`, unless rows of it leave at once. Rows that are right
are found by a query before and cost nothing. A partition is never dropped by hand: a worker may just be writing to it;
ClickHouse drops a part whole when all of it has expired.
Broken off and repeated, it goes on where it was. Workers take new rules within seconds; what they write until then is
caught by waiting for them first.
Failure: StoreError names the table. Needs the rights of the user that migrates.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.ops.retention.rules import Rules
from pipeline.store.errors import StoreError
from pipeline.store.retention import BOUNDED, DAY_SECONDS, Bounded

TAKEN_SECONDS = 10.0  # until every worker has the new rules and has flushed what it had: stream/retention.py

_LONG_QUERY = {"max_query_size": 64 * 2**20}  # bytes; the pinned traces are named in it


class Change(NamedTuple):
    """Rows of one partition whose moment is not what the rules say; `leaving`: those that have expired by the rules."""

    table: str
    partition: str
    rows: int
    leaving: int


class Scope(NamedTuple):
    """Which rows are looked at; empty for all."""

    project_id: str = ""
    trace_id: str = ""

    def condition(self, bounded: Bounded) -> str:
        """As SQL, with %(project)s and %(trace)s."""
        project = " AND project_id = %(project)s" if self.project_id else ""
        return project + (" AND trace_id = %(trace)s" if self.trace_id and bounded.traced else "")

    def parameters(self) -> dict[str, str]:
        """The values for `condition`."""
        return {"project": self.project_id, "trace": self.trace_id}


def apply(
    client: Client,
    settings: Settings,
    rules: Rules,
    scope: Scope,
    *,
    dry_run: bool = False,
    progress: Callable[[Change], None] = lambda _: None,
) -> list[Change]:
    """Put right what differs; what was changed, or would be. Raises StoreError."""
    done = []
    for bounded in tables(client, scope):
        expression = rules.expression(bounded)
        try:
            for change in differing(client, bounded, expression, scope):
                if not dry_run:
                    _update(client, settings, bounded, change.partition, expression, scope)
                progress(change)
                done.append(change)
        except ClickHouseError as error:
            raise StoreError(
                f"The retention of {bounded.table} could not be applied: {error}",
                remedy="Check the rights of SPANFOLD_CLICKHOUSE_USER (ALTER UPDATE), then run the command again.",
            ) from error
    return done


def tables(client: Client, scope: Scope) -> Iterator[Bounded]:
    """The bounded tables that this installation has and that the scope concerns."""
    rows = client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
    there = {str(name) for (name,) in rows}
    for bounded in BOUNDED:
        concerned = (bounded.traced or not scope.trace_id) and (bounded.owned or not scope.project_id)
        if bounded.table in there and concerned:
            yield bounded


def differing(client: Client, bounded: Bounded, expression: str, scope: Scope) -> list[Change]:
    """The partitions with rows that differ, the oldest first."""
    rows = client.query(
        f"SELECT _partition_id AS partition, count(), countIf({expression} <= now('UTC')) FROM {bounded.table}"  # noqa: S608
        f" WHERE {_differs(expression)}{scope.condition(bounded)} GROUP BY partition ORDER BY partition",
        parameters=scope.parameters(),
        settings=_LONG_QUERY,
    ).result_rows
    return [Change(bounded.table, str(partition), int(count), int(leaving)) for partition, count, leaving in rows]


def _differs(expression: str) -> str:
    """By a day or more: tables' own defaults count to the second, and are not worth rewriting for a midnight."""
    return f"abs(toInt64(toUnixTimestamp(expires_at)) - toInt64(toUnixTimestamp({expression}))) >= {DAY_SECONDS}"


def _update(
    client: Client, settings: Settings, bounded: Bounded, partition: str, expression: str, scope: Scope
) -> None:
    cluster = f" ON CLUSTER {settings.clickhouse_cluster}" if settings.clickhouse_cluster else ""
    client.command(
        f"ALTER TABLE {bounded.table}{cluster} UPDATE expires_at = {expression} IN PARTITION ID %(partition)s"
        f" WHERE {_differs(expression)}{scope.condition(bounded)}",
        parameters=scope.parameters() | {"partition": partition},
        settings=_LONG_QUERY | {"mutations_sync": 2},  # wait for all replicas
    )


def wait_for_workers(wait: float | None, tell: Callable[[str], None]) -> None:
    """Give running workers the time to take what the registry says now: `wait` seconds, None for TAKEN_SECONDS."""
    seconds = TAKEN_SECONDS if wait is None else wait
    if seconds > 0:
        tell(f"waiting {seconds:g} s for the workers to take the new rules")
        time.sleep(seconds)
