"""The rows and the number of archived events of some traces, read in an order that makes a running stream no fault.

First which chunks are stored, then the rows, then the archive: the rows of every event in a stored chunk are in the
second, and no row can be made from an event that the third does not see.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.audit.diagnose import Key, Stored
from pipeline.audit.suspects import sql, stored_now
from pipeline.ops.ledger.read import Covered
from pipeline.store.lookups import BIG_QUERY, TraceKey


class Claim(NamedTuple):
    """A version of a row of a trace, in one of the tables by kind; `made` in microseconds."""

    kind: str
    row_version: int
    made: int


class Read(NamedTuple):
    """Of each trace its rows, every version there is, its archived events and how many of those are in flight."""

    rows: dict[TraceKey, list[Stored]]
    claims: dict[TraceKey, list[Claim]]
    archived: dict[TraceKey, int]
    in_flight: dict[TraceKey, int]


def read(client: Client, topic: str, names: Sequence[TraceKey]) -> Read:
    """All of it, of not too many traces at once."""
    stored = stored_now(client, topic)
    parameters: dict[str, Any] = {"keys": tuple(names), "ids": tuple({trace for _, trace in names})}
    rows: dict[TraceKey, list[Stored]] = {}
    for kind, project, trace, id_, hour, newest in _rows(client, "rows", parameters):
        version, deleted, settled, expired, first_seen = newest
        row = Stored(
            Key(kind, id_, int(hour)), int(version), bool(deleted), bool(settled), bool(expired), int(first_seen)
        )
        rows.setdefault((project, trace), []).append(row)
    claims: dict[TraceKey, list[Claim]] = {}
    for kind, project, trace, version, made in _rows(client, "claims", parameters):
        claims.setdefault((project, trace), []).append(Claim(kind, int(version), int(made)))
    parameters |= _in_no_chunk(stored) | {"topic": topic}
    archived: dict[TraceKey, int] = {}
    in_flight: dict[TraceKey, int] = {}
    for project, trace, events, flying in _rows(client, "archived", parameters):
        archived[project, trace], in_flight[project, trace] = int(events), int(flying)
    return Read(rows, claims, archived, in_flight)


def _rows(client: Client, query: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
    return client.query(sql(query), parameters=parameters, settings=BIG_QUERY).result_rows


def _in_no_chunk(stored: Sequence[Covered]) -> dict[str, Any]:
    """Ends and holes as the query names them; an array that is empty would have no type."""
    holes = [(each.partition, first, last) for each in stored for first, last in each.gaps] or [(2**32 - 1, 1, 0)]
    return {
        "partitions": [each.partition for each in stored] or [0],
        "ends": [each.end for each in stored] or [0],
        "numbers": [number for number, _, _ in holes],
        "firsts": [first for _, first, _ in holes],
        "lasts": [last for _, _, last in holes],
    }
