"""Mending: rows as the archived events make them, tombstones that win over what must not show, and nothing invented."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.audit.diagnose import Diagnosis, Divergence, Key, Stored
from pipeline.audit.mend import Mender, RefusedRowsError
from pipeline.audit.stored import Claim
from pipeline.cost.book import PriceBook
from pipeline.cost.price import ObservationPricer
from pipeline.events.media import Medium
from pipeline.store.insert import Refused
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream.retention import KeepForEver
from tests.fixtures.archive import MemoryArchive
from tests.fixtures.captures import Outgoing, langfuse_record

PRICE = ObservationPricer(PriceBook(epoch=3))
NAME = ("project-1", "t")
HOUR = 3600
AWAY = 7_200_000_000  # first_seen under another key, microseconds


def span(number: int, trace: str = "t", **said: str) -> Outgoing:
    body = {
        "id": f"o{number}",
        "traceId": trace,
        "startTime": "2026-11-20T12:00:00Z",
        "endTime": "2026-11-20T12:00:01Z",
        **said,
    }
    return langfuse_record(
        {"id": f"e{number}", "type": "span-create", "timestamp": "2026-11-20T12:00:00Z", "body": body}
    )


class Store:
    """What is inserted and deleted."""

    def __init__(self, refuses: bool = False) -> None:
        self.rows: list[Any] = []
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.refuses = refuses

    async def insert(self, table: str, rows: Sequence[Any], token: str) -> list[Refused]:
        assert token
        self.rows += rows
        return [Refused(row, 1, "no") for row in rows] if self.refuses else []

    def command(self, sql: str, parameters: dict[str, Any]) -> None:
        self.commands.append((sql, parameters))


def wrong(
    *divergences: Divergence, archived: int = 3, stray: Sequence[Stored] = (), settled: bool = False
) -> Diagnosis:
    return Diagnosis(NAME, archived, 1, list(divergences), list(stray), settled)


async def mended(
    diagnosis: Diagnosis,
    patch: pytest.MonkeyPatch,
    claims: Sequence[Claim] = (),
    *,
    trust: bool = False,
    count: int = 3,
) -> tuple[bool, Store]:
    MemoryArchive([span(number) for number in range(count)]).install(patch)
    store = Store()
    mender = Mender(store, store, KeepForEver(), 2**30, trust_archive=trust)  # type: ignore[arg-type]
    return await mender.mend(diagnosis, claims, PRICE), store


async def test_all_rows_are_written_as_a_worker_numbers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    done, store = await mended(wrong(Divergence.MISSING_EVENTS, settled=True), monkeypatch)
    assert done
    versions = {type(row).__name__: row.row_version for row in store.rows}
    assert versions == {"ObservationRow": 3 * EPOCH_STEP + 6, "TraceRow": 3 * EPOCH_STEP + 7}
    assert sorted(row.observation_id for row in store.rows if hasattr(row, "observation_id")) == ["o0", "o1", "o2"]
    assert not any(row.is_deleted for row in store.rows)


@pytest.mark.parametrize("kind", ["trace", "observation", "score"])
@pytest.mark.parametrize("version", [2, 9 * EPOCH_STEP + 2])
async def test_a_stray_row_is_covered_under_its_own_key_whatever_its_version(
    kind: str, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = Stored(Key(kind, "x", HOUR * 2), version, False, False, False, AWAY)
    _, store = await mended(wrong(Divergence.SPLIT, stray=[stray]), monkeypatch)
    [tombstone] = [row for row in store.rows if row.is_deleted]
    assert tombstone.first_seen == AWAY
    assert tombstone.row_version == max(version, 3 * EPOCH_STEP + 6)
    assert tombstone.trace_id == "t"


async def test_rows_that_claim_too_much_stay_unless_the_archive_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    stray = Stored(Key("observation", "ghost", 0), 20, False, False, False, 0)
    claims = [Claim("trace", 20, 5), Claim("trace", 22, 6), Claim("observation", 20, 5)]
    diagnosis = wrong(Divergence.OVERCOUNTED, Divergence.LEFT_OVER, stray=[stray])
    done, store = await mended(diagnosis, monkeypatch, claims)
    assert (done, store.rows, store.commands) == (False, [], [])
    done, store = await mended(diagnosis, monkeypatch, claims, trust=True)
    assert done
    deleted = [(sql.split()[2], given["version"], given["made"]) for sql, given in store.commands]
    assert deleted == [("traces_rows", 20, 5), ("traces_rows", 22, 6), ("observations_rows", 20, 5)]
    [tombstone] = [row for row in store.rows if row.is_deleted]
    assert tombstone.row_version == 3 * EPOCH_STEP + 6  # not what the row claims: later events must win


async def test_media_are_kept_before_any_row_refers_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryArchive([span(0, input="data:image/png;base64,iVBORw==")]).install(monkeypatch)
    store, kept = Store(), list[tuple[str, bytes, int]]()

    def keep(project_id: str, medium: Medium) -> None:
        kept.append((project_id, medium.content, len(store.rows)))

    mender = Mender(store, store, KeepForEver(), 2**30, trust_archive=False, keep=keep)  # type: ignore[arg-type]
    assert await mender.mend(wrong(Divergence.MISSING_EVENTS, archived=1), [], PRICE)
    assert kept == [("project-1", b"\x89PNG", 0)]
    assert "@@@langfuseMedia:" in next(row.input for row in store.rows if hasattr(row, "observation_id"))


async def test_a_store_of_media_that_says_no_is_told_of_and_no_row_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no mistake of ours for which an event would be left out."""
    MemoryArchive([span(0, input="data:image/png;base64,iVBORw==")]).install(monkeypatch)

    def keep(_project_id: str, _medium: Medium) -> None:
        raise OSError("SlowDown")

    store = Store()
    mender = Mender(store, store, KeepForEver(), 2**30, trust_archive=False, keep=keep)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="SlowDown"):
        await mender.mend(wrong(Divergence.MISSING_EVENTS, archived=1), [], PRICE)
    assert store.rows == []


async def test_a_trace_that_changed_since_it_was_judged_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    done, store = await mended(wrong(Divergence.MISSING_EVENTS), monkeypatch, count=4)
    assert (done, store.rows) == (False, [])
    done, store = await mended(wrong(Divergence.MISSING_EVENTS), monkeypatch, count=0)
    assert (done, store.rows) == (False, [])


async def test_a_row_that_the_store_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryArchive([span(0)]).install(monkeypatch)
    store = Store(refuses=True)
    mender = Mender(store, store, KeepForEver(), 2**30, trust_archive=False)  # type: ignore[arg-type]
    with pytest.raises(RefusedRowsError, match="refuses"):
        await mender.mend(wrong(Divergence.MISSING_EVENTS, archived=1), [], PRICE)
