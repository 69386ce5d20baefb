"""Traces folded anew from the archive: the oracle's rows, whatever their size, and what a mended mapping does."""

import base64
import gc
from typing import Any

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Kind, Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.fold.observation import Observation
from pipeline.fold.state import TraceState
from pipeline.store.lookups import RawEvent
from pipeline.stream import archived
from pipeline.stream import refold as refold_module
from pipeline.stream.refold import ArchiveBehindError, Refold, RefoldError, in_turn, refold
from tests.fixtures.archive import MemoryArchive
from tests.fixtures.captures import langfuse_record
from tests.fixtures.whole_traffic import as_a_log_has_them, known, whole_traces
from tests.oracle.fold import views
from tests.oracle.table import Table, difference

PRICE = ObservationPricer()
NO_LIMIT = 2**40
NOW = Micros(99)


def written(archive: MemoryArchive, trace_bytes: int = NO_LIMIT, settled: bool = False) -> Table:
    table = Table()
    for each in refold(None, archive.names(), PRICE, trace_bytes):  # type: ignore[arg-type]
        for rows in each.rows(PRICE, settled=settled, now=NOW):
            for some in rows:
                table.write(some)
    return table


@pytest.mark.parametrize("trace_bytes", [NO_LIMIT, 10_000, 1])
def test_all_rows_of_every_trace_are_those_of_the_oracle(trace_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record for trace in whole_traces(12) for record in trace]
    archive = MemoryArchive(as_a_log_has_them(records))
    archive.install(monkeypatch)
    assert difference(written(archive, trace_bytes).views(), views(known(records), PRICE))[:5] == []


def test_rows_are_numbered_by_the_archived_events_and_settled_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    [records] = whole_traces(1)
    archive = MemoryArchive(records)
    archive.install(monkeypatch)
    count = len(archive.events)
    for settled in (False, True):
        rows = written(archive, settled=settled).rows
        versions = {key[0]: row.version for key, row in rows.items()}
        assert versions == {"traces": 2 * count + settled, "observations": 2 * count, "scores": 2 * count}
        assert {row.first_seen for row in rows.values()} == {1_000_000}


def test_a_giant_is_made_in_portions_and_its_own_row_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [_call(number) for number in range(40)]
    archive = MemoryArchive(calls)
    archive.install(monkeypatch)
    monkeypatch.setattr("pipeline.fold.shed.AT_ONCE", 7)
    [giant] = refold(None, archive.names(), PRICE, 12_000)  # type: ignore[arg-type]
    portions = list(giant.rows(PRICE, settled=True, now=NOW))
    assert len(portions) >= 5
    assert [len(portion.traces) for portion in portions] == [0] * (len(portions) - 1) + [1]
    ids = [row.observation_id for portion in portions for row in portion.observations]
    assert len(ids) == len(set(ids)) == 40
    assert {row.input for portion in portions for row in portion.observations} == {"x" * 3_000}


def test_an_archive_that_loses_events_meanwhile_is_an_error_not_an_empty_row(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive(_call(number) for number in range(40))
    archive.install(monkeypatch)
    [giant] = refold(None, archive.names(), PRICE, 12_000)  # type: ignore[arg-type]
    archive.events.clear()
    with pytest.raises(ArchiveBehindError, match="run the command again"):
        list(giant.rows(PRICE, settled=True, now=NOW))


def test_what_a_tombstone_hides_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [_call(number) for number in range(3)]
    archive = MemoryArchive(begun)
    raw = next(iter(archive.events.values()))
    tombstone = Event(raw.project_id, raw.trace_id, Kind.TRACE, raw.trace_id, "gone", Micros(2**61), {"deleted": True})
    archive.events["gone", b"g" * 16] = raw._replace(
        event_id="gone", identity=b"g" * 16, kind="trace", entity_id=raw.trace_id
    )
    archive.install(monkeypatch)
    real = archived.decode_record
    monkeypatch.setattr(
        archived, "decode_record", lambda record, size: [*real(record, size), tombstone] if record.offset == 0 else
        real(record, size)
    )  # fmt: skip
    table = written(archive)
    assert table.views() == {"traces": {}, "observations": {}, "scores": {}}
    assert sum(row.is_deleted for row in table.rows.values()) == 4


@pytest.mark.parametrize("error", [DecodeError(Reason.MALFORMED, "no"), KeyError("a decoder's own mistake")])
def test_an_event_that_cannot_be_read_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive([_call(0), _call(1)])
    archive.install(monkeypatch)
    real = archived.decode_record

    def decode(record: Any, size: int) -> list[Event]:
        if record.offset == 1:
            raise error
        return real(record, size)

    monkeypatch.setattr(archived, "decode_record", decode)
    [each] = refold(None, archive.names(), PRICE, NO_LIMIT)  # type: ignore[arg-type]
    assert (each.archived, each.unreadable, each.state.event_count) == (2, 1, 1)


def test_an_event_is_found_by_its_id_wherever_the_record_says_it_now(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive([_call(0)])
    archive.install(monkeypatch)
    [raw] = archive.events.values()
    other = _beside(raw, "other")
    real = archived.decode_record
    monkeypatch.setattr(archived, "decode_record", lambda record, size: [other, *real(record, size)])
    reading = archived.read(raw)
    assert reading is not None
    assert (reading.event and reading.event.event_id) == raw.event_id
    [each] = refold(None, archive.names(), PRICE, NO_LIMIT)  # type: ignore[arg-type]
    [found] = each.found
    assert (found.event_id, found.position, found.kind, found.offset) == ("other", 0, "trace", raw.offset)
    assert (found.value, found.first_seen) == (raw.value, each.state.first_seen)
    [rows] = each.rows(PRICE, settled=False, now=NOW)
    assert rows.traces[0].user_id == "ada"
    assert rows.traces[0].row_version == 4  # as made from two archived events
    archive.events[found.event_id, found.identity] = RawEvent(*(getattr(found, name) for name in RawEvent._fields))
    [again] = refold(None, archive.names(), PRICE, NO_LIMIT)  # type: ignore[arg-type]
    assert (again.found, again.archived) == ([], 2)


def test_what_a_record_no_longer_says_counts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive([_call(0)])
    [raw] = archive.events.values()
    archive.events["was", b"w" * 16] = raw._replace(event_id="was", identity=b"w" * 16, position=1)
    archive.install(monkeypatch)
    [each] = refold(None, archive.names(), PRICE, NO_LIMIT)  # type: ignore[arg-type]
    assert (each.archived, each.unreadable, each.state.event_count) == (2, 0, 2)
    [rows] = each.rows(PRICE, settled=False, now=NOW)
    assert [row.row_version for row in (*rows.traces, *rows.observations)] == [4, 4]


def test_nothing_is_made_of_traces_that_are_not_archived(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryArchive([]).install(monkeypatch)
    found: list[Refold] = list(refold(None, [("p", "t")], PRICE, NO_LIMIT))  # type: ignore[arg-type]
    assert found == []


def _call(number: int) -> Any:
    body = {"id": f"o-{number:03}", "traceId": "t", "input": "x" * 3_000, "model": "gpt-4o"}
    at = f"2026-11-20T12:00:{number:02}Z"
    return langfuse_record({"id": f"e-{number}", "type": "generation-create", "timestamp": at, "body": body})


def _beside(raw: RawEvent, id_: str) -> Event:
    return Event(raw.project_id, raw.trace_id, Kind.TRACE, raw.trace_id, id_, Micros(7), {"user_id": "ada"})


def test_media_in_archived_events_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"data:image/png;base64,{base64.b64encode(b'x' * 90).decode()}"
    body = {"id": "o", "traceId": "t", "input": f"look: {uri}"}
    event = {"id": "e", "type": "span-create", "timestamp": "2026-11-20T12:00:00Z", "body": body}
    archive = MemoryArchive([langfuse_record(event)])
    archive.install(monkeypatch)
    kept: list[tuple[str, bytes]] = []
    [each] = refold(
        None, archive.names(), PRICE, NO_LIMIT, lambda project, medium: kept.append((project, medium.content))  # type: ignore[arg-type]
    )  # fmt: skip
    assert kept == [("project-1", b"x" * 90)]
    [rows] = each.rows(PRICE, settled=False, now=NOW)
    assert "base64," not in rows.observations[0].input


@pytest.mark.parametrize("what", ["fold", "build", "add_rows"])
def test_a_trace_that_our_own_code_fails_on_is_told_of_and_the_next_is_folded(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    records = [record for trace in whole_traces(2) for record in trace]
    archive = MemoryArchive(records)
    archive.install(monkeypatch)
    names = sorted(archive.names())
    where = TraceState if what == "fold" else refold_module
    original = getattr(where, what)

    def failing(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if any(isinstance(each, TraceState) and each.trace_id == names[0][1] for each in arguments):
            raise ZeroDivisionError
        return result

    monkeypatch.setattr(where, what, failing)
    bad, good = refold(None, names, PRICE, NO_LIMIT)  # type: ignore[arg-type]
    assert not good.unreadable
    assert list(good.rows(PRICE, settled=False, now=NOW))
    if what == "fold":
        assert bad.unreadable, "nobody uses what is left of it"
    else:
        with pytest.raises(RefoldError, match=names[0][1]):
            list(bad.rows(PRICE, settled=False, now=NOW))


def test_traces_taken_in_turn_leave_memory_without_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive(record for trace in whole_traces(6) for record in trace)
    archive.install(monkeypatch)
    gc.collect()
    others = _observations()
    gc.disable()
    try:
        for each in in_turn(refold(None, archive.names(), PRICE, NO_LIMIT)):  # type: ignore[arg-type]
            list(each.rows(PRICE, settled=True, now=NOW))
            seen = _observations()
        del each
        left = _observations()
    finally:
        gc.enable()
    assert 0 < seen - others < 100  # of the last trace alone
    assert left == others


def _observations() -> int:
    return sum(isinstance(one, Observation) for one in gc.get_objects())
