"""What a worker asks the store: which traces it knows, their events back, what was left open, what was stored.

Problem: a worker's memory is only a cache, so after a restart or an eviction it folds again what the archive holds.
Rule: every answer is exact whatever has merged; `raw_events` may hold a redelivered event twice, here it comes once.
Answers stream: nothing but the filter's hashes is held as a whole. The SQL is in queries/*.sql; values are quoted by
the driver.
Failure: clickhouse-connect's errors pass through; errors.blame() tells which are worth another try. An empty answer of
a proxy is such an error, too: it would say that nothing is stored.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from clickhouse_connect.driver.binding import DT64Param
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from pipeline.events.model import Micros
from pipeline.store.rows import OffsetRangeRow

QUERIES = Path(__file__).parent / "queries"
KEYS_PER_QUERY = 500  # ids of 800 characters, of four bytes each, would make some megabytes of SQL
BIG_QUERY = {"max_query_size": 16 * 2**20}  # bytes; the server's own is 256 KiB, which a few hundred long ids exceed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AS_INTEGERS = {"DateTime64": "int"}

TraceKey = tuple[str, str]  # project id, trace id
Row = TypeVar("Row", bound=NamedTuple)


class RawEvent(NamedTuple):
    """One archived event; times in microseconds, `value` the original bytes."""

    project_id: str
    trace_id: str
    event_id: str
    identity: bytes
    kind: str
    entity_id: str
    content_type: str
    value: bytes
    receiver: str
    received_at: Micros
    topic: str
    partition: int
    offset: int
    position: int  # index inside its record
    timestamp: Micros  # LogAppendTime
    first_seen: Micros  # the trace's


class Entity(NamedTuple):
    """What an event talks about: a trace, an observation or a score of one trace."""

    project_id: str
    trace_id: str
    kind: str
    entity_id: str


class OpenTrace(NamedTuple):
    """A trace that has not settled; `ended` where nothing of it was open any more."""

    project_id: str
    trace_id: str
    ended: bool


class StoredTrace(NamedTuple):
    """What the newest row of a trace tells of itself; `first_seen` in microseconds."""

    project_id: str
    trace_id: str
    first_seen: Micros
    row_version: int
    settled: bool


class StoredRow(NamedTuple):
    """A row of a trace in one of the views: its columns by name, times in microseconds."""

    kind: str  # trace, observation or score
    entity_id: str
    at: Micros  # the start, of a score its event time
    columns: dict[str, Any]


def known_trace_hashes(client: Client, topic: str, partition: int, partitions: int) -> "array[int]":
    """Hashes (events.keys.trace_hash) of the traces that a partition may have rows or events of, ascending.

    8 bytes each. `partitions` is how many the topic has, 0 where that is not known: then the answer is larger.
    """
    hashes = array("Q")
    parameters = {"topic": topic, "partition": partition, "partitions": partitions}
    stream = client.query_column_block_stream(_sql("known_trace_hashes"), parameters=parameters)
    with stream as blocks:
        _check_origin(stream.source)
        for block in blocks:
            hashes.extend(block[0])
    return hashes


def read_back(client: Client, keys: Sequence[TraceKey]) -> Iterator[RawEvent]:
    """Every distinct event of the given traces once, trace by trace and in each entity by entity.

    Nothing for a trace that is not archived.
    """
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some = tuple(keys[start : start + KEYS_PER_QUERY])
        yield from _rows(client, "read_back", {"keys": some}, RawEvent)


def read_back_observations(client: Client, key: TraceKey, ids: Sequence[str]) -> Iterator[RawEvent]:
    """Every distinct event of some observations of one trace, observation by observation."""
    for start in range(0, len(ids), KEYS_PER_QUERY * 4):
        parameters = {"project": key[0], "trace": key[1], "ids": tuple(ids[start : start + KEYS_PER_QUERY * 4])}
        yield from _rows(client, "read_back_observations", parameters, RawEvent)


def read_back_entities(client: Client, entities: Sequence[Entity]) -> Iterator[RawEvent]:
    """Every distinct event of these entities; of a trace that has none of its entity, its first event."""
    for start in range(0, len(entities), KEYS_PER_QUERY):
        some = entities[start : start + KEYS_PER_QUERY]
        wanted, missing = set(some), {entity[:2] for entity in some}
        parameters = {"keys": tuple(missing), "entities": tuple({entity[2:] for entity in some})}
        for event in _rows(client, "read_back_entities", parameters, RawEvent):
            if Entity(event.project_id, event.trace_id, event.kind, event.entity_id) in wanted:
                missing.discard((event.project_id, event.trace_id))
                yield event
        if missing:
            yield from _rows(client, "first_events", {"keys": tuple(missing)}, RawEvent)


def stored_traces(
    client: Client, keys: Sequence[TraceKey], first_seen: Mapping[TraceKey, Micros]
) -> dict[TraceKey, StoredTrace]:
    """The newest row of each of these traces that has one. `first_seen` where it is known makes it fast."""
    found: list[StoredTrace] = []
    known = [key for key in keys if key in first_seen]
    if known:
        times = [first_seen[key] for key in known]
        parameters = {"keys": tuple(known), **_hours(times), "from": _instant(min(times)), "to": _instant(max(times))}
        found += _rows(client, "stored_traces", parameters, StoredTrace)
    unknown = [key for key in keys if key not in first_seen]
    if unknown:
        parameters = {"keys": tuple(unknown), "ids": tuple(trace_id for _, trace_id in unknown)}
        found += _rows(client, "stored_traces_anywhere", parameters, StoredTrace)
    return {(each.project_id, each.trace_id): each for each in found}


def stored_rows(client: Client, traces: Sequence[StoredTrace]) -> dict[TraceKey, list[StoredRow]]:
    """All rows of these traces as the views show them."""
    keys = tuple((each.project_id, each.trace_id) for each in traces)
    rows: dict[TraceKey, list[StoredRow]] = {key: [] for key in keys}
    parameters = {"keys": keys, **_hours([each.first_seen for each in traces])}
    for query in ("expired_trace", "expired_observations", "expired_scores"):
        result = client.query(_sql(query), parameters=parameters, settings=BIG_QUERY, query_formats=_AS_INTEGERS)
        for columns in result.named_results():
            row = StoredRow(columns["kind"], columns["entity_id"], columns["at"], dict(columns))
            rows[columns["project_id"], columns["trace_id"]].append(row)
    return rows


def stored_observations(client: Client, trace: StoredTrace, ids: Sequence[str]) -> dict[str, StoredRow]:
    """The rows of some observations of a trace as the view shows them; none for one that has no row."""
    rows: dict[str, StoredRow] = {}
    for start in range(0, len(ids), KEYS_PER_QUERY):
        parameters = {
            "project": trace.project_id,
            "trace": trace.trace_id,
            "ids": tuple(ids[start : start + KEYS_PER_QUERY]),
            **_hours([trace.first_seen]),
        }
        result = client.query(
            _sql("stored_observations"), parameters=parameters, settings=BIG_QUERY, query_formats=_AS_INTEGERS
        )
        for columns in result.named_results():
            rows[columns["entity_id"]] = StoredRow("observation", columns["entity_id"], columns["at"], dict(columns))
    return rows


def stored_columns(client: Client, table: str) -> list[str]:
    """The columns that a table stores, also those that a later version of it has."""
    rows = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s "
        "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') ORDER BY position",
        parameters={"table": table},
    ).result_rows
    return [str(row[0]) for row in rows]


def _hours(times: Iterable[Micros]) -> dict[str, Any]:
    """The hours of these times, as the tables' keys have them."""
    hours = {time // 3_600_000_000 * 3_600 for time in times}
    return {"hours": tuple(datetime.fromtimestamp(hour, UTC) for hour in sorted(hours))}


def _instant(time: Micros) -> DT64Param:
    """A time to the microsecond, as a parameter."""
    return DT64Param(_EPOCH + timedelta(microseconds=time))


def open_traces(
    client: Client, partition: int, partitions: int, limit: int, after: TraceKey = ("", "")
) -> list[OpenTrace]:
    """Up to `limit` traces at home in a partition that have not settled, in order; the last is the next page's `after`.

    At home: where Kafka's default partitioner puts their key in a topic of so many `partitions`.

    A trace whose events are archived but whose rows never came (a crash in between) is not among them: its records
    were not committed, so they are delivered again.
    """
    parameters = {
        "partition": partition,
        "partitions": partitions,
        "limit": limit,
        "after_project": after[0],
        "after_trace": after[1],
    }
    result = client.query(_sql("open_traces"), parameters=parameters)
    _check_origin(result)
    return [OpenTrace(str(project), str(trace), bool(ended)) for project, trace, ended in result.result_rows]


def stored_offset_ranges(client: Client, topic: str, partition: int) -> Iterator[OffsetRangeRow]:
    """The stored chunks of a partition by first offset; where the same offsets were cut differently they overlap."""
    return _rows(client, "stored_offset_ranges", {"topic": topic, "partition": partition}, OffsetRangeRow)


def archived_projects(client: Client, days: int, limit: int) -> list[str]:
    """Up to `limit` projects with archived events of the last days, the same ones each time."""
    result = client.query(_sql("archived_projects"), parameters={"days": days, "limit": limit})
    return [str(project) for (project,) in result.result_rows]


def archived_events(client: Client, project: str, days: int, limit: int) -> list[RawEvent]:
    """Up to `limit` archived events of a project, whichever are found first; one may come twice."""
    parameters = {"project": project, "days": days, "limit": limit}
    return list(_rows(client, "archived_events", parameters, RawEvent))


def _rows(client: Client, query: str, parameters: dict[str, Any], row: type[Row]) -> Iterator[Row]:
    stream = client.query_rows_stream(
        _sql(query),
        parameters=parameters,
        settings=BIG_QUERY,
        query_formats=_AS_INTEGERS,
        column_formats={"value": "bytes"},
    )
    with stream:
        _check_origin(stream.source)
        for values in stream:
            yield row(*values)


def _check_origin(result: Any) -> None:
    """ClickHouse names the query in a header of every answer."""
    if not result.summary.get("query_id"):
        raise OperationalError("The answer to a question is not of ClickHouse; see what stands between.")


@cache
def _sql(name: str) -> str:
    return (QUERIES / f"{name}.sql").read_text("utf-8")
