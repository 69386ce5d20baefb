"""What a worker reads back: exact before any merge, complete, and safe for any id."""

import time
from array import array
from collections.abc import AsyncIterator, Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.events.keys import record_key, trace_hash
from pipeline.events.partition import partition_of
from pipeline.store.error_codes import CODES
from pipeline.store.insert import Inserter
from pipeline.store.lookups import known_trace_hashes, open_traces, read_back, stored_offset_ranges
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, offset_range_row, raw_event_row, score_row, trace_row

TOPIC = "spanfold.events"
ODD_IDS = ["it's", 'quo"te', "back\\slash", "\\'", "日本語", "') OR 1=1 --", "%(keys)s", "{x:String}", "a,b", "(", "?"]


@pytest.fixture
def store(clickhouse: ClickHouseProcess, database: str) -> Iterator[Client]:
    with migrated(clickhouse.url, database) as client:
        client.command("SYSTEM STOP MERGES raw_events")
        client.command("SYSTEM STOP MERGES traces_rows")
        yield client


@pytest.fixture
async def inserter(store: Client) -> AsyncIterator[Inserter]:
    inserter = Inserter(store)
    yield inserter
    inserter.close()


async def test_the_known_hashes_are_those_of_the_partition_sorted_and_once(store: Client, inserter: Inserter) -> None:
    rows = [
        raw_event_row(f"e{number}", trace_id=f"t{number % 3_000}", partition=number % 2, offset=number)
        for number in range(9_000)
    ]
    await inserter.insert("raw_events", rows, "a")
    hashes = known_trace_hashes(store, TOPIC, 1, 2)
    assert isinstance(hashes, array)
    assert hashes.typecode == "Q"
    here = {f"t{number}" for number in range(1, 3_000, 2)}
    at_home = {f"t{n}" for n in range(3_000) if partition_of(record_key("project", f"t{n}"), 2) == 1}
    assert list(hashes) == sorted(trace_hash("project", name) for name in here | at_home)


def test_an_empty_archive_knows_no_trace(store: Client) -> None:
    assert list(known_trace_hashes(store, TOPIC, 0, 0)) == []


async def test_a_trace_whose_archive_expired_is_known_where_its_events_would_come(
    store: Client, inserter: Inserter
) -> None:
    names = [f"t{number}" for number in range(50)] + ODD_IDS
    await inserter.insert("traces_rows", [trace_row(trace_id=name) for name in names], "a")
    for partition in range(4):
        here = {name for name in names if partition_of(record_key("project", name), 4) == partition}
        assert list(known_trace_hashes(store, TOPIC, partition, 4)) == sorted(trace_hash("project", n) for n in here)
        assert len(here) > 5
    everywhere = sorted(trace_hash("project", name) for name in names)
    assert list(known_trace_hashes(store, TOPIC, 3, 0)) == everywhere


async def test_after_growth_a_trace_and_a_group_of_scores_are_known_where_their_next_event_comes(
    store: Client, inserter: Inserter
) -> None:
    traces, groups = [f"t{number}" for number in range(20)], [f"session:s{number}" for number in range(20)]
    for name in traces + groups:
        old = partition_of(record_key("project", name), 2)
        await inserter.insert("raw_events", [raw_event_row(name, trace_id=name, partition=old)], name)
    await inserter.insert("traces_rows", [trace_row(trace_id=name) for name in traces], "t")
    scores = [score_row(trace_id="", session_id=name[8:], score_group=name, score_id=name) for name in groups]
    await inserter.insert("scores_rows", scores, "s")
    for partition in range(5):
        here = {name for name in traces + groups if partition_of(record_key("project", name), 5) == partition}
        assert here
        assert {trace_hash("project", name) for name in here} <= set(known_trace_hashes(store, TOPIC, partition, 5))


async def test_a_trace_is_known_at_home_whatever_topic_its_events_came_by(store: Client, inserter: Inserter) -> None:
    """Where Kafka lost its log, its topics have other names from then on."""
    await inserter.insert("raw_events", [raw_event_row("e", trace_id="t", partition=0)], "a")
    home = partition_of(record_key("project", "t"), 4)
    assert list(known_trace_hashes(store, "spanfold2.events", home, 4)) == [trace_hash("project", "t")]


async def test_after_growth_a_trace_whose_rows_expired_is_known_where_its_next_event_comes(
    store: Client, inserter: Inserter
) -> None:
    """Its archive is kept longer than its rows: a late event must find it, not begin it anew."""
    days_ago = time.time_ns() // 1000 - 5 * 86_400_000_000
    names = [f"t{number}" for number in range(20)] + ODD_IDS
    rows = [
        raw_event_row(name, trace_id=name, partition=partition_of(record_key("project", name), 2), first_seen=days_ago)
        for name in names
    ]
    await inserter.insert("raw_events", rows, "a")
    for partition in range(5):
        here = {name for name in names if partition_of(record_key("project", name), 5) == partition}
        before = {row.trace_id for row in rows if row.partition == partition}
        known = set(known_trace_hashes(store, TOPIC, partition, 5))
        assert known == {trace_hash("project", name) for name in here | before}
        assert here


async def test_reading_back_gives_each_distinct_event_once_with_its_bytes(store: Client, inserter: Inserter) -> None:
    value = bytes(range(256))
    await inserter.insert("raw_events", [raw_event_row("a", value, offset=7, position=2), raw_event_row("b")], "1")
    await inserter.insert("raw_events", [raw_event_row("a", value, offset=7, position=2)], "redelivered")
    await inserter.insert("raw_events", [raw_event_row("a", value, offset=9, timestamp=NOW + 5)], "duplicate")
    await inserter.insert("raw_events", [raw_event_row("a", b"changed", offset=8)], "changed")
    await inserter.insert("raw_events", [raw_event_row("a", value, trace_id="another")], "other trace")
    events = list(read_back(store, [("project", "trace")]))
    found = sorted((event.event_id, event.value, event.offset) for event in events)
    assert found == [("a", value, 7), ("a", b"changed", 8), ("b", b"{}", 0)]
    first = next(event for event in events if event.value == value)
    expected = raw_event_row("a", value, offset=7, position=2)._asdict()
    del expected["trace_hash"], expected["expires_at"]
    assert first._asdict() == expected


async def test_an_event_archived_under_two_days_comes_back_once(store: Client, inserter: Inserter) -> None:
    for day in range(3):
        await inserter.insert("raw_events", [raw_event_row(first_seen=NOW + day * 86_400_000_000)], str(day))
    assert len(list(read_back(store, [("project", "trace")]))) == 1


async def test_thousands_of_traces_are_read_back_and_no_others(store: Client, inserter: Inserter) -> None:
    await inserter.insert("raw_events", [raw_event_row(f"e{n}", trace_id=f"t{n}") for n in range(4_000)], "a")
    keys = [("project", f"t{number}") for number in range(0, 4_000, 2)]
    assert {event.trace_id for event in read_back(store, keys)} == {trace_id for _, trace_id in keys}


async def test_one_project_never_gets_the_events_of_another(store: Client, inserter: Inserter) -> None:
    await inserter.insert("raw_events", [raw_event_row(project_id=project) for project in ("p1", "p2")], "a")
    events = list(read_back(store, [("p1", "trace"), ("p3", "trace")]))
    assert [event.project_id for event in events] == ["p1"]


async def test_any_id_is_found_and_none_is_code(store: Client, inserter: Inserter) -> None:
    long = "x" * 800
    ids = [*ODD_IDS, long]
    await inserter.insert("raw_events", [raw_event_row(project_id=odd, trace_id=odd) for odd in ids], "a")
    for odd in ids:
        (event,) = read_back(store, [(odd, odd)])
        assert (event.project_id, event.trace_id) == (odd, odd)
    assert len(list(read_back(store, [(odd, odd) for odd in ids]))) == len(ids)


def test_reading_back_nothing_asks_nothing(store: Client) -> None:
    assert list(read_back(store, [])) == []


async def test_open_traces_are_the_unsettled_ones_of_the_partition_page_by_page(
    store: Client, inserter: Inserter
) -> None:
    ids = [f"t{number:03}" for number in range(100)]
    rows = [
        trace_row(trace_id=i, settled=False, status="RUNNING" if i[2] == "7" else "ERROR", row_version=2) for i in ids
    ]
    await inserter.insert("traces_rows", rows, "open")
    await inserter.insert("traces_rows", [trace_row(trace_id=i, settled=True, row_version=3) for i in ids[:60]], "done")
    await inserter.insert(
        "traces_rows", [trace_row(trace_id=i, settled=False, row_version=4) for i in ids[:5]], "again"
    )
    here = [i for i in [*ids[:5], *ids[60:]] if partition_of(record_key("project", i), 3) == 1]
    expected = [("project", i, i[2] != "7") for i in here]
    assert len(expected) > 7
    page, found = open_traces(store, 1, 3, 7), []
    while page:
        found += page
        page = open_traces(store, 1, 3, 7, after=page[-1][:2])
    assert found == expected


async def test_stored_ranges_come_in_order_and_once(store: Client, inserter: Inserter) -> None:
    await inserter.insert("offset_ranges", [offset_range_row(100, 199), offset_range_row(0, 99)], "a")
    await inserter.insert("offset_ranges", [offset_range_row(100, 199, stored_at=NOW + 1)], "again")
    await inserter.insert("offset_ranges", [offset_range_row(0, 9, partition=1)], "other")
    ranges = list(stored_offset_ranges(store, TOPIC, 0))
    assert ranges == [offset_range_row(0, 99), offset_range_row(100, 199, stored_at=NOW + 1)]


def test_the_engine_calls_the_error_codes_as_we_do(clickhouse: ClickHouseProcess) -> None:
    client = clickhouse.client()
    for number, code in CODES.items():
        assert client.command(f"SELECT errorCodeToName({number})") == code.name
    client.close()
