"""How an audit is cut, and from when on a project can be judged at all."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from pipeline.audit.scope import KEPT, PIECE_TRACES, Scope
from pipeline.audit.suspects import NO_ARCHIVE, pieces

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SECOND = int(NOW.timestamp())
DAY = 86_400
ALL = Scope(NOW, NOW)


def cut(*rows: tuple[str, int, int, int]) -> list[Any]:
    client: Any = SimpleNamespace(query=lambda *_, **__: SimpleNamespace(result_rows=list(rows)))
    return pieces(client, ALL, NOW)


def test_a_day_of_many_traces_is_cut_by_a_hash() -> None:
    assert [(p.day, p.buckets, p.bucket) for p in cut(("a", 0, PIECE_TRACES * 2 + 1, DAY), ("a", 3600, 1, DAY))] == [
        (0, 3, 0), (0, 3, 1), (0, 3, 2), (3600, 1, 0),
    ]  # fmt: skip


def test_what_was_seen_before_the_archive_of_its_project_keeps_anything_is_not_judged() -> None:
    found = cut(("a", 0, 1, 30 * DAY), ("a", 3600, 1, 20 * DAY), ("b", 0, 1, 400 * DAY), ("b", 3600, 1, NO_ARCHIVE))
    assert {(p.project_id, (SECOND - p.kept_since) // DAY) for p in found} == {("a", 20), ("b", 400)}


def test_a_project_of_which_nothing_is_archived_is_taken_for_the_shortest_kept() -> None:
    """Its archive expired as a whole: rows without events are no divergence then."""
    assert [p.kept_since for p in cut(("idle", 0, 1, NO_ARCHIVE))] == [SECOND - KEPT]
    found = cut(("idle", 0, 1, NO_ARCHIVE), ("a", 0, 1, 7 * DAY))
    assert found[0].kept_since == SECOND - 7 * DAY


def test_nothing_gives_no_piece() -> None:
    assert cut() == []
