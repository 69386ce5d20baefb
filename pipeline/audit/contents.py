"""What the rows of right traces say, against what their archived events make: column by column, by 32-bit checksums.

Left out are the columns that tell when. What depends on prices is compared where one known book has made all rows of
the trace: the book of their epoch, on the base that this version has. Rows from before the first published book
(epoch 0) do not tell their base: where another price id was used and nothing but prices differs, it may have moved on.
A row that was made from more events than were folded is newer than the question: its trace is left for the next look.
Memory: some 300 bytes for each row of the traces that are compared together (examine.py), whatever the rows hold.
"""

import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.audit.diagnose import Stored
from pipeline.cost.base import base_version
from pipeline.cost.book import PriceBook
from pipeline.cost.document import PriceDocumentError, check_document
from pipeline.cost.price import ObservationPricer
from pipeline.events.priced import Pricer
from pipeline.registry import Registry
from pipeline.store import tables
from pipeline.store.lookups import BIG_QUERY, TraceKey
from pipeline.store.rows import EPOCH_STEP, ObservationRow, ScoreRow, TraceRow
from pipeline.stream.rows import Rows

GROUPED = "if(trace_id = '', score_group, trace_id)"
WHEN = frozenset({"first_seen", "updated_at", "row_version", "settled", "is_deleted", "expires_at"})
PRICED = frozenset({
    "usage", "usage_source", "usage_rule", "cost", "total_cost", "cost_source", "price_id", "priced_model",
    "subtree_cost", "subtree_tokens", "total_tokens", "flags",
})  # fmt: skip
ANOTHER_BOOK = "prices of another book"


class Kind(NamedTuple):
    """One of the three tables: what its rows are called, and how the trace and the entity of a row are named in SQL."""

    name: str
    table: str
    row: type[TraceRow] | type[ObservationRow] | type[ScoreRow]
    trace: str
    id: str

    @property
    def columns(self) -> list[str]:
        """Those that are compared, in order."""
        return [name for name in self.row._fields if name not in WHEN]


KINDS = (
    Kind("trace", tables.TRACES, TraceRow, "trace_id", "trace_id"),
    Kind("observation", tables.OBSERVATIONS, ObservationRow, "trace_id", "observation_id"),
    Kind("score", tables.SCORES, ScoreRow, GROUPED, "score_id"),
)
_STORED = """
    SELECT project_id, {trace} AS trace, {id} AS id, row_version, {columns}
    FROM {table} FINAL
    WHERE toStartOfHour(first_seen) IN (SELECT toDateTime(arrayJoin(%(hours)s), 'UTC'))
        AND (project_id, {trace}) IN %(keys)s {more} AND is_deleted = 0
    SETTINGS do_not_merge_across_partitions_select_final = 1
"""
Place = tuple[str, TraceKey, str]  # kind, trace, id


class Books:
    """Pricers by the epoch of rows."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._none = ObservationPricer(PriceBook())
        self._known: dict[int, ObservationPricer | None] = {0: self._none}

    def of(self, epochs: Iterable[int]) -> tuple[Pricer, bool]:
        """(a pricer, whether it is the one that made rows of these epochs)."""
        some = set(epochs) or {0}
        found = self._book(some.pop()) if len(some) == 1 else None
        return (self._none, False) if found is None else (found, True)

    def _book(self, epoch: int) -> ObservationPricer | None:
        if epoch not in self._known:
            self._known[epoch] = self._published(epoch)
        return self._known[epoch]

    def _published(self, epoch: int) -> ObservationPricer | None:
        published = self._registry.prices_of(epoch)
        if published is None or published.base != base_version():
            return None
        try:
            return ObservationPricer(PriceBook(check_document(published.document), epoch=epoch))
        except PriceDocumentError:
            return None  # made by another version: its prices cannot be told here


class Expected(NamedTuple):
    """What a trace's rows should say: from so many events, under a book that made them or not."""

    events: int
    hour: int  # of first_seen, Unix seconds
    epoch: int | None  # None: prices are not compared


class Comparison:
    """Of some traces: `expect` their rows as they are made, then ask for `differing`."""

    def __init__(self) -> None:
        self._traces: dict[TraceKey, Expected] = {}
        self._sums: dict[Place, array[int]] = {}
        self.unpriced: set[TraceKey] = set()  # of which prices were not compared

    def expect(self, name: TraceKey, rows: Rows) -> None:
        """Rows of a trace that show."""
        by_kind: tuple[Sequence[Any], ...] = (rows.traces, rows.observations, rows.scores)
        for kind, some in zip(KINDS, by_kind, strict=True):
            for row in some:
                if not row.is_deleted:
                    values = (getattr(row, column) for column in kind.columns)
                    self._sums[kind.name, name, getattr(row, kind.id)] = checksums(values)

    def judge(self, name: TraceKey, expected: Expected) -> None:
        """Compare this one."""
        self._traces[name] = expected

    def differing(self, client: Client) -> dict[TraceKey, list[str]]:
        """Traces with columns ("observation.name") of which a row says something else; those that changed left out."""
        found: dict[TraceKey, set[str]] = {}
        newer: set[TraceKey] = set()
        ids: dict[TraceKey, bool] = {}  # a price id differs
        for kind in KINDS:
            for name, id_, version, values in _stored(client, kind, self._traces):
                expected, sums = self._traces[name], self._sums.get((kind.name, name, id_))
                if version % EPOCH_STEP // 2 > expected.events:
                    newer.add(name)
                elif sums is not None:
                    wrong = _wrong(kind, sums, checksums(values), expected.epoch == version // EPOCH_STEP)
                    ids[name] = ids.get(name, False) or "price_id" in wrong
                    found.setdefault(name, set()).update(f"{kind.name}.{column}" for column in wrong)
        self.unpriced = {name for name, expected in self._traces.items() if expected.epoch is None}
        for name, columns in found.items():
            only_prices = all(column.partition(".")[2] in PRICED for column in columns)
            if only_prices and ids[name] and self._traces[name].epoch == 0:
                self.unpriced.add(name)
                columns.clear()
        return {name: sorted(columns) for name, columns in found.items() if columns and name not in newer}


def epochs_of(rows: Sequence[Stored]) -> set[int]:
    """The epochs of the rows that show."""
    return {row.row_version // EPOCH_STEP for row in rows if not row.deleted}


def checksums(values: Iterable[Any]) -> "array[int]":
    """One for each value; equal for values that a column would hold as the same."""
    return array("I", (zlib.crc32(repr(_plain(value)).encode("utf-8", "surrogatepass")) for value in values))


def _plain(value: Any) -> Any:
    """One form for a value whether the fold made it or the store gave it back; the order of a map's keys counts."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return [(str.__str__(key), _plain(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return int(value) if isinstance(value, int) else value


def _wrong(kind: Kind, expected: "array[int]", stored: "array[int]", priced: bool) -> list[str]:
    if expected == stored:
        return []
    return [
        column
        for column, should, is_ in zip(kind.columns, expected, stored, strict=True)
        if should != is_ and (priced or column not in PRICED)
    ]


def _stored(client: Client, kind: Kind, traces: Mapping[TraceKey, Expected]) -> Iterable[Any]:
    """(trace, id, row_version, values) of the rows that show."""
    if not traces:
        return
    query = _STORED.format(
        trace=kind.trace, id=kind.id, columns=", ".join(kind.columns), table=kind.table,
        more="" if kind.name == "score" else "AND trace_id IN %(ids)s",
    )  # fmt: skip
    parameters = {
        "keys": tuple(traces), "ids": tuple({trace for _, trace in traces}),
        "hours": sorted({each.hour for each in traces.values()}),
    }  # fmt: skip
    stream = client.query_rows_stream(
        query, parameters=parameters, settings=BIG_QUERY, query_formats={"DateTime64": "int"}
    )  # not in the query's text, which is parsed before it is known
    with stream as rows:
        for project, trace, id_, version, *values in rows:
            yield (project, trace), id_, int(version), values
