"""The store's part in a comparison: of every row the newest version, as ReplacingMergeTree with FINAL answers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.store.rows import ObservationRow, ScoreRow, TraceRow
from tests.oracle.fold import Key, Views

WHEN = frozenset(
    {"first_seen", "updated_at", "row_version", "settled", "is_deleted", "score_group", "expires_at"}
)  # say when, not what

_VIEWS: dict[type, tuple[str, tuple[str, ...]]] = {
    TraceRow: ("traces", ("project_id", "trace_id")),
    ObservationRow: ("observations", ("project_id", "trace_id", "observation_id")),
    ScoreRow: ("scores", ("project_id", "trace_id", "score_id", "score_group")),
}


class Table:
    """Rows by key: the highest version stays, of equal versions the one that was written last."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Key], Any] = {}
        self.written = 0

    def write(self, rows: Iterable[NamedTuple]) -> None:
        """Take rows in, in the order of their inserts.

        `first_seen` is part of a row's key and must never change; rows of one version must say the same.
        """
        for row in rows:
            view, columns = _VIEWS[type(row)]
            key = view, tuple(getattr(row, column) for column in columns)
            old, new = self.rows.get(key), _Versioned(row)
            self.written += 1
            assert old is None or old.first_seen == new.first_seen, f"the key of {key} changed"
            if old is not None and old.version == new.version:
                assert old.said == new.said, f"two rows of version {new.version} differ"
            if old is None or new.version >= old.version:
                self.rows[key] = new

    def views(self) -> Views:
        """What the views show: maps in the order they are stored in."""
        shown: Views = {view: {} for view, _ in _VIEWS.values()}
        for (view, key), row in self.rows.items():
            if not row.is_deleted:
                shown[view][key] = row.said
        return shown


class _Versioned:
    """A row taken apart."""

    __slots__ = ("first_seen", "is_deleted", "said", "version")

    def __init__(self, row: Any) -> None:
        self.version: int = row.row_version
        self.first_seen: int = row.first_seen
        self.is_deleted = bool(row.is_deleted)
        self.said = {name: value for name, value in row._asdict().items() if name not in WHEN}


def difference(shown: Views, expected: Views) -> list[str]:
    """What tells two answers apart, a line for each row or column; empty where they are the same.

    The order of a map's keys counts: the store keeps it, so it must not depend on the order of arrival either.
    """
    found: list[str] = []
    for view, rows in expected.items():
        found += [f"{view} {key}: should not be there" for key in shown[view].keys() - rows.keys()]
        found += [f"{view} {key}: is missing" for key in rows.keys() - shown[view].keys()]
        for key in rows.keys() & shown[view].keys():
            is_, should = shown[view][key], rows[key]
            found += [
                f"{view} {key} {name}: is {is_.get(name)!r}, should be {should.get(name)!r}"
                for name in should.keys() | is_.keys()
                if _ordered(is_.get(name)) != _ordered(should.get(name))
            ]
    return sorted(found)


def _ordered(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value
