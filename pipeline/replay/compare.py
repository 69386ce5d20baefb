"""What tells shadow rows from live ones: by table how many rows are equal, changed, or only on one side; by column how
many differ, with an example.

Compared is what is true of the set of events: not when a row was made, nor its version. Rows are compared as the views
show them, those of the traces that were made anew. The work is ClickHouse's, in pieces of some hundred thousand rows of
a project's day; what it holds at a time is a hash for each column of each row of a piece.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.replay.scope import sql
from pipeline.store.tables import OBSERVATIONS, SCORES, TABLES, TRACES

PIECE_ROWS = 200_000
WHEN = frozenset(
    {"first_seen", "updated_at", "row_version", "settled", "is_deleted", "expires_at"}
)  # say when, not what
COMPARED = (TRACES, OBSERVATIONS, SCORES)
SHOWN = 80  # characters of a value in an example
_EMPTY_GROUP = "if(score_group = '', trace_id, score_group)"


class Keys(NamedTuple):
    """What names a row of a table, what it belongs to, and which table has all that belong to the same."""

    row: tuple[str, ...]
    group: str
    of: str


KEYS = {
    TRACES: Keys(("trace_id",), "trace_id", TRACES),
    OBSERVATIONS: Keys(("trace_id", "observation_id"), "trace_id", TRACES),
    SCORES: Keys(("trace_id", "score_group", "score_id"), _EMPTY_GROUP, SCORES),
}


class Example(NamedTuple):
    """A row that differs in a column: its id, and the values as text."""

    row_id: str
    live: str
    shadow: str


@dataclass(slots=True)
class Comparison:
    """One table's part of the report. Row ids are PROJECT/TRACE and, beneath, the observation's or score's."""

    equal: int = 0
    changed: int = 0
    only_live: int = 0
    only_shadow: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Example] = field(default_factory=dict)
    live_examples: list[str] = field(default_factory=list)
    shadow_examples: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Nothing tells the two apart."""
        return not (self.changed or self.only_live or self.only_shadow)


def compare(client: Client, shadow: str) -> dict[str, Comparison]:
    """Every table against its shadow in the database `shadow`."""
    return {table: _table(client, shadow, table) for table in COMPARED}


def pieces(client: Client, shadow: str, table: str, most: int = PIECE_ROWS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Conditions that cut a table and its shadow into parts, and their parameters. A trace is in one part."""
    keys = KEYS[table]
    query = sql("compared_pieces").format(shadow=shadow, table=table)
    for project, day, rows in client.query(query).result_rows:
        buckets = -(-int(rows) // most)
        for bucket in range(buckets):
            yield (
                "project_id = %(project)s AND first_seen >= toDateTime64(%(day)s, 6, 'UTC') "
                "AND first_seen < toDateTime64(%(day)s + 86400, 6, 'UTC') "
                f"AND cityHash64({keys.group}) %% %(buckets)s = %(bucket)s",
                {"project": project, "day": int(day), "buckets": buckets, "bucket": bucket},
            )


def _table(client: Client, shadow: str, table: str) -> Comparison:
    keys, found = KEYS[table], Comparison()
    columns = [name for name in TABLES[table].columns if name not in WHEN and name not in ("project_id", *keys.row)]
    row_id = f"concat(project_id, '/', {', char(0), '.join(keys.row)})"
    hashes = ", ".join(f"cityHash64(tuple({name}))" for name in columns)
    for piece, parameters in pieces(client, shadow, table):
        query = sql("compare").format(
            table=table, shadow=shadow, row_id=row_id, hashes=hashes, piece=piece, group=keys.group, of=keys.of
        )
        [row] = client.query(query, parameters=parameters).result_rows
        counts, (differs, examples, only_live, only_shadow) = row[:4], row[4:]
        for name, count in zip(("equal", "changed", "only_live", "only_shadow"), counts, strict=True):
            setattr(found, name, getattr(found, name) + int(count))
        found.live_examples += [_shown(each) for each in only_live][: 3 - len(found.live_examples)]
        found.shadow_examples += [_shown(each) for each in only_shadow][: 3 - len(found.shadow_examples)]
        for column, count, example in zip(columns, differs, examples, strict=False):
            if count:
                found.columns[column] += int(count)
                if column not in found.examples:
                    found.examples[column] = _example(client, shadow, table, column, example, (piece, parameters))
    return found


def _example(
    client: Client, shadow: str, table: str, column: str, row_id: str, piece: tuple[str, dict[str, Any]]
) -> Example:
    """The two values of one column of one row."""
    condition, parameters = piece
    named = f"hex(concat(project_id, '/', {', char(0), '.join(KEYS[table].row)})) = %(row_id)s"
    values, wanted = [], row_id.encode(errors="surrogateescape").hex().upper()
    for database in (f"{client.database}", shadow):
        query = f"SELECT toString({column}) FROM {database}.{table} FINAL WHERE {condition} AND {named}"  # noqa: S608
        result = client.query(query, parameters={**parameters, "row_id": wanted}).result_rows
        text = str(result[0][0]) if result else ""
        values.append(text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)")
    return Example(_shown(row_id), *values)


def _shown(row_id: str) -> str:
    return "/".join(part for part in row_id.split("\0") if part)
