"""The ledger's SQL on the real engine: each offset counts once, however it was cut, and every hole is seen."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.audit.suspects import came_since
from pipeline.ops.ledger import read
from pipeline.ops.ledger.balance import Edge, Slot
from pipeline.ops.ledger.moved import Place, ends
from pipeline.ops.ledger.read import Scope
from pipeline.store.insert import Inserter
from pipeline.store.retention import FOREVER
from pipeline.store.rows import EdgeCountRow, OffsetRangeRow
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, offset_range_row, raw_event_row

TOPIC = "spanfold.events"
SECOND = NOW // 1_000_000
START = datetime.fromtimestamp(SECOND, UTC)
SCOPE = Scope(TOPIC, START, START + timedelta(hours=1))


@pytest.fixture(scope="module")
def database_of_all(clickhouse: ClickHouseProcess) -> Iterator[Client]:
    name = f"ledger_{uuid.uuid4().hex}"
    with migrated(clickhouse.url, name) as client:
        yield client
        client.command(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def store(database_of_all: Client) -> Client:
    """Tables that are empty."""
    for table in ("offset_ranges", "edge_counts", "raw_events"):
        database_of_all.command(f"TRUNCATE TABLE {table} SYNC")
    return database_of_all


async def put(store: Client, table: str, rows: list[Any]) -> None:
    assert await Inserter(store).insert(table, rows, uuid.uuid4().hex) == []


def chunk(first: int, last: int, stored: int, groups: list[tuple[str, int, str]], places: list[int]) -> OffsetRangeRow:
    """Records of several (project, minute, outcome); an empty `places` where there is one."""
    amounts = [places.count(number) for number in range(len(groups))] if places else [last - first + 1]
    return offset_range_row(first, last)._replace(
        stored_at=NOW + stored,
        projects=[project for project, _, _ in groups],
        receivers=["ingestion"] * len(groups),
        minutes=[NOW + 60_000_000 * minute for _, minute, _ in groups],
        outcomes=[outcome for _, _, outcome in groups],
        amounts=amounts,
        places=places,
    )


def counted(store: Client, scope: Scope = SCOPE) -> dict[tuple[str, int, str], int]:
    found: dict[tuple[str, int, str], int] = {}
    for each in read.accounted(store, scope):
        key = (each.slot.project_id, (each.slot.second - SECOND) // 60, each.outcome)
        found[key] = found.get(key, 0) + each.records
    return found


async def test_chunks_that_do_not_overlap_are_summed(store: Client) -> None:
    mixed = chunk(10, 14, 2, [("a", 0, "stored"), ("b", 0, "duplicate"), ("a", 1, "rejected")], [0, 1, 0, 2, 2])
    await put(store, "offset_ranges", [chunk(0, 9, 1, [("a", 0, "stored")], []), mixed])
    assert counted(store) == {("a", 0, "stored"): 12, ("b", 0, "duplicate"): 1, ("a", 1, "rejected"): 2}
    assert counted(store, Scope(TOPIC, START, START + timedelta(minutes=1), "a")) == {("a", 0, "stored"): 12}
    assert counted(store, Scope("another topic", START, SCOPE.until)) == {}


async def test_offsets_that_came_again_in_other_cuts_count_once(store: Client) -> None:
    """After a crash between a chunk's row and its commit; and a paused worker's cut ends in the middle of another's."""
    first = [
        chunk(0, 9, 1, [("a", 0, "stored")], []),
        chunk(10, 19, 1, [("a", 0, "stored"), ("b", 0, "stored")], [0, 1] * 5),
    ]
    again = [chunk(10, 12, 2, [("a", 0, "stored"), ("b", 0, "stored")], [0, 1, 0]),
             chunk(13, 24, 2, [("a", 0, "stored"), ("b", 0, "stored")], [1, 0] * 6)]  # fmt: skip
    await put(store, "offset_ranges", first + again)
    assert counted(store) == {("a", 0, "stored"): 10 + 8, ("b", 0, "stored"): 7}
    await put(store, "offset_ranges", [chunk(5, 22, 9, [("c", 0, "stored")], [])])
    assert counted(store) == {("a", 0, "stored"): 5 + 1, ("b", 0, "stored"): 1, ("c", 0, "stored"): 18}
    [covered] = read.covered(store, SCOPE)
    assert (covered.partition, covered.begin, covered.end, covered.gaps) == (0, 0, 25, [])


async def test_overlapping_chunks_with_offsets_that_hold_no_record(store: Client) -> None:
    sparse = chunk(0, 9, 1, [("a", 0, "stored")], [])._replace(offsets=[0, 1, 9], amounts=[3])
    await put(store, "offset_ranges", [sparse, chunk(9, 10, 2, [("a", 0, "stored")], [])])
    assert counted(store) == {("a", 0, "stored"): 4}


async def test_a_hole_between_chunks_is_named_by_its_offsets(store: Client) -> None:
    rows = [offset_range_row(*cut) for cut in ((3, 9), (20, 29), (25, 40), (42, 50))]
    await put(store, "offset_ranges", [*rows, offset_range_row(0, 7)._replace(partition=2)])
    one, two = read.covered(store, SCOPE)
    assert (one.begin, one.end, one.gaps) == (3, 51, [(10, 19), (41, 41)])
    assert (two.partition, two.begin, two.end, two.gaps) == (2, 0, 8, [])
    later = Scope(TOPIC, START + timedelta(minutes=5), SCOPE.until)
    await put(store, "offset_ranges", [offset_range_row(60, 69)._replace(stored_at=NOW + 600_000_000)])
    assert read.covered(store, later)[0].gaps == [(51, 59)]  # older holes are not looked at


async def test_the_edge_is_counted_once_though_it_told_twice(store: Client) -> None:
    row = EdgeCountRow("door", 0, NOW, TOPIC, ["a", "b"], [0, 1], [NOW, NOW], [5, 7], [0, 3], [4, 9], FOREVER)
    await put(store, "edge_counts", [row])
    await put(store, "edge_counts", [row, row._replace(number=1, firsts=[10, 12], lasts=[20, 21])])
    assert sorted(read.edges(store, SCOPE)) == [
        Edge(Slot("a", SECOND, 0), 10, 0, 20),
        Edge(Slot("b", SECOND, 1), 14, 3, 21),
    ]


async def test_records_are_counted_in_the_archive_and_those_that_lack_are_named(store: Client) -> None:
    events = [raw_event_row(f"e{n}", b"%d" % n, project_id="a", offset=n, timestamp=NOW + n) for n in range(6)]
    events.append(raw_event_row("e0-second", b"0", project_id="a", offset=0, position=1, timestamp=NOW))
    await put(store, "raw_events", events)
    await put(store, "offset_ranges", [chunk(0, 7, 1, [("a", 0, "stored")], [])])
    slot = Slot("a", SECOND, 0)
    assert read.archived(store, SCOPE) == {slot: 6}
    assert read.not_archived(store, TOPIC, slot) == [6, 7]
    assert read.archive_begins(store, ["a", "nobody"]) == {"a": SECOND}
    found = read.archived_anywhere(store, [("a", "trace")])
    assert ("a", "trace", "e0", events[0].identity) in found


async def test_chunks_beyond_the_limits_of_a_scope_are_not_read(store: Client) -> None:
    rows = [chunk(0, 9, 1, [("a", 0, "stored")], []), chunk(10, 19, 2, [("a", 0, "stored")], [])]
    away = chunk(0, 4, 3, [("a", 0, "stored")], [])._replace(partition=1)
    await put(store, "offset_ranges", [*rows, away])
    bounded = Scope(TOPIC, SCOPE.start, SCOPE.until, limits={0: 10, 1: 2**63})
    assert counted(store, bounded) == {("a", 0, "stored"): 15}
    assert [(each.partition, each.end) for each in read.covered(store, bounded)] == [(0, 10), (1, 5)]


async def test_moved_copies_are_found_by_where_they_were_first(store: Client) -> None:
    """However often they are cut, and whenever they are stored."""
    there, late = f"moved:{TOPIC}.overflow/2/{SECOND // 60}", 7_200_000_000
    row = chunk(0, 4, late, [("a", 99, "stored"), ("a", 99, "stored")], [0, 0, 1, 1, 1])
    row = row._replace(receivers=["ingestion", there])
    await put(store, "offset_ranges", [row, row._replace(last=9, stored_at=NOW + late + 1, places=[0, 0] + [1] * 8)])
    found = {(each.receiver, each.outcome): each.records for each in read.arrived(store, SCOPE)}
    assert found == {(there, "stored"): 8}
    assert ends(read.arrived(store, SCOPE)) == {Place(f"{TOPIC}.overflow", Slot("a", SECOND, 2)): 8}


async def test_a_publication_that_is_gone_is_found_by_its_number(store: Client) -> None:
    row = EdgeCountRow("door", 0, NOW, TOPIC, ["a"], [0], [NOW], [5], [0], [4], FOREVER)
    told = [row._replace(number=number, published_at=NOW + number) for number in (3, 4, 7, 9)]
    others = [row._replace(instance="other"), row._replace(instance="elsewhere", topic="x", number=5)]
    await put(store, "edge_counts", [*told, *others, row._replace(instance="elsewhere", topic="x")])
    assert [(each.instance, each.first, each.last) for each in read.untold(store, SCOPE)] == [
        ("door", 5, 6), ("door", 8, 8),
    ]  # fmt: skip


async def test_what_is_stored_late_is_looked_at_from_where_its_partition_ended_before(store: Client) -> None:
    """An outage of five hours: of the minutes between two chunks nothing may have come, and the edge knows better."""
    hour, minute = 3_600_000_000, 60_000_000
    now = START + timedelta(hours=6)

    def row(partition: int, first: int, minutes: list[int], stored: int) -> OffsetRangeRow:
        moments = [NOW + each * minute for each in minutes]
        return offset_range_row(first, first)._replace(partition=partition, minutes=moments, stored_at=NOW + stored)

    assert came_since(store, TOPIC, now) is None
    before = [row(0, 0, [0, 1], 2 * minute), row(0, 1, [3], 4 * minute), row(1, 0, [2], 3 * minute)]
    await put(store, "offset_ranges", before)
    assert came_since(store, TOPIC, now - timedelta(hours=1)) is None
    await put(store, "offset_ranges", [row(0, 2, [200, 201], 5 * hour + minute)])
    assert came_since(store, TOPIC, now - timedelta(hours=1)) == START + timedelta(minutes=3)
    assert came_since(store, "another", now - timedelta(hours=1)) is None
    await put(store, "offset_ranges", [row(2, 0, [1], 5 * hour + minute)])  # of a partition of which nothing was told
    assert came_since(store, TOPIC, now - timedelta(hours=1)) == START + timedelta(minutes=1)


async def test_the_archive_begins_where_nothing_has_expired_whatever_is_pinned(store: Client) -> None:
    """A pinned trace of years ago, and what has expired and was not removed yet: all between them is rightly gone."""
    day, now = 86_400_000_000, int(datetime.now(UTC).timestamp())
    rows = [
        ("bounded", -400, FOREVER), ("bounded", -20, now - 60), ("bounded", -9, now + 86_400),
        ("bounded", 0, now + 864_000), ("for ever", -400, FOREVER), ("for ever", 0, FOREVER),
    ]  # fmt: skip
    await put(store, "raw_events", [
        raw_event_row(f"e{number}")._replace(project_id=project, timestamp=NOW + days * day, expires_at=until)
        for number, (project, days, until) in enumerate(rows)
    ])  # fmt: skip
    begins = read.archive_begins(store, {project for project, _, _ in rows})
    assert begins == {"bounded": SECOND - 9 * 86_400, "for ever": SECOND - 400 * 86_400}
