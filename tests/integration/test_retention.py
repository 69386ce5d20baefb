"""On the real engine: rows go when their project's days are over, pinned traces and other projects' rows stay."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.ops.retention.apply import Change, Scope, apply
from pipeline.ops.retention.rules import Rules, read_rules
from pipeline.ops.retention.run import UnknownTraceError, run_apply, run_pin, run_unpin
from pipeline.registry import Registry, RetentionDays, open_registry
from pipeline.store.native import encode
from pipeline.store.retention import BOUNDED, DAY_MICROS, FOREVER, expiry
from pipeline.store.rows import EdgeCountRow
from pipeline.store.tables import EDGE_COUNTS, OBSERVATIONS, OFFSET_RANGES, RAW_EVENTS, SCORES, TABLES, TRACES
from tests.fixtures.captures import PROJECT, produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import (
    migrated,
    observation_row,
    offset_range_row,
    raw_event_row,
    score_row,
    settings_for,
    trace_row,
)
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

TODAY = time.time_ns() // 1000
OLD = TODAY - 40 * DAY_MICROS
STORED = (TRACES, OBSERVATIONS, SCORES, RAW_EVENTS)
LEDGER = (OFFSET_RANGES, EDGE_COUNTS)


@pytest.fixture
def settings(clickhouse: ClickHouseProcess, database: str, tmp_path: Path) -> Settings:
    return settings_for(clickhouse.url, database).model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A database with an old trace `old`, an old trace `dear` and a new one, of each of two projects."""
    with migrated(settings.clickhouse_url, settings.clickhouse_database) as client:
        for project in ("brief", "long"):
            for trace, since in (("old", OLD), ("dear", OLD), ("new", TODAY)):
                _store(client, project, trace, since)
        yield client


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    registry = open_registry(settings.registry)
    for project in ("brief", "long"):
        registry.create_project(project, project_id=project)
    yield registry
    registry.close()


def _store(client: Client, project: str, trace: str, since: int) -> None:
    """Two versions of every row, in parts of their own."""
    same = {"project_id": project, "trace_id": trace}
    for version in (2, 4):
        when = {"first_seen": since, "row_version": version}
        _insert(client, TRACES, trace_row(**same, **when))
        _insert(client, OBSERVATIONS, observation_row(**same, **when))
        _insert(client, SCORES, score_row(**same, **when))
        _insert(client, RAW_EVENTS, raw_event_row(f"e{version}", **same, timestamp=since, first_seen=since))


def _insert(client: Client, table: str, row: object) -> None:
    known = TABLES[table]
    client.raw_insert(table, list(known.columns), bytes(encode(known, [row])), fmt="Native")  # type: ignore[list-item]


def _places(changes: list[dict[str, object]]) -> set[tuple[object, object]]:
    return {(change["table"], change["partition"]) for change in changes}


def _traces(client: Client, table: str) -> set[str]:
    rows = client.query(f"SELECT DISTINCT project_id || '/' || trace_id FROM {table}").result_rows
    return {str(row[0]) for row in rows}


def test_rows_go_by_their_project_s_days_and_pinned_and_others_stay(
    client: Client, settings: Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = {f"{project}/{trace}" for project in ("brief", "long") for trace in ("old", "dear", "new")}
    registry.set_retention("brief", RetentionDays(archive=30, rows=30))
    registry.set_retention("long", RetentionDays(archive=60))
    registry.pin("brief", "dear")
    run_apply(settings, "", wait=0, dry_run=True, as_json=True)
    promised = json.loads(capsys.readouterr().out)
    assert all(_traces(client, table) == everything for table in STORED)
    run_apply(settings, "", wait=0, dry_run=False, as_json=True)
    done = json.loads(capsys.readouterr().out)
    assert _places(done) == _places(promised)  # numbers of rows differ where parts have merged meanwhile
    assert {change["table"] for change in promised if change["leaving"]} == set(STORED)
    assert all(_traces(client, table) == everything - {"brief/old"} for table in STORED)
    assert _traces(client, "traces") == _traces(client, "observations") == everything - {"brief/old"}
    until = client.query(
        "SELECT DISTINCT project_id, trace_id, toUnixTimestamp(expires_at) FROM raw_events"
    ).result_rows
    assert {(project, trace): when for project, trace, when in until} == {
        ("brief", "dear"): FOREVER,
        ("brief", "new"): expiry(TODAY, 30),
        ("long", "old"): expiry(OLD, 60),
        ("long", "dear"): expiry(OLD, 60),
        ("long", "new"): expiry(TODAY, 60),
    }
    rules = read_rules(registry)
    assert apply(client, settings, rules, Scope()) == []
    many = Rules(rules.said, rules.pins | {("long", f"{number:032x}") for number in range(5_000)})
    assert apply(client, settings, many, Scope()) == []
    for bounded in BOUNDED:
        if bounded.table in TABLES:
            assert "TTL expires_at" in str(client.command(f"SHOW CREATE TABLE {bounded.table}"))
    _ledger_stays_as_long_as_the_setting_says(client, settings, registry)


def _ledger_stays_as_long_as_the_setting_says(client: Client, settings: Settings, registry: Registry) -> None:
    """Whatever projects say; what was stored a day longer than what was accepted."""
    for since in (TODAY, OLD):
        _insert(client, OFFSET_RANGES, offset_range_row(since, since, stored_at=since, expires_at=FOREVER))
        _insert(client, EDGE_COUNTS, EdgeCountRow("door", since, since, "t", [], [], [], [], [], [], FOREVER))
    rules = read_rules(registry, 30)
    assert apply(client, settings, rules, Scope("brief")) == []  # a project has no ledger of its own
    done = apply(client, settings, rules, Scope())
    assert {(change.table, change.rows, change.leaving) for change in done} == {(table, 2, 1) for table in LEDGER}
    for table, days in ((OFFSET_RANGES, 31), (EDGE_COUNTS, 30)):
        moments = client.query(f"SELECT toUnixTimestamp(expires_at) FROM {table}").result_rows
        assert moments == [(expiry(TODAY, days),)]


def test_a_pin_saves_what_is_there_and_taking_it_back_lets_it_go(
    client: Client, settings: Settings, registry: Registry
) -> None:
    registry.set_retention("brief", RetentionDays(archive=45, rows=45))
    new: list[Change] = []
    apply(client, settings, read_rules(registry), Scope("brief", "new"), progress=new.append)
    assert {change.table for change in new} == set(STORED)
    assert len({change.partition for change in new}) == 1  # the others are not touched
    apply(client, settings, read_rules(registry), Scope("brief"))
    run_pin(settings, "brief", "dear", "ticket", wait=0)
    run_pin(settings, "brief", "dear", "ticket", wait=0)  # again is fine
    registry.set_retention("brief", RetentionDays(archive=30, rows=30))
    apply(client, settings, read_rules(registry), Scope("brief"))
    assert {trace for trace in _traces(client, TRACES) if "brief" in trace} == {"brief/dear", "brief/new"}
    run_unpin(settings, "brief", "dear", wait=0)
    assert all("brief/dear" not in _traces(client, table) for table in STORED)
    assert all("long/dear" in _traces(client, table) for table in STORED)
    with pytest.raises(UnknownTraceError, match="not pinned"):
        run_unpin(settings, "brief", "dear", wait=0)
    with pytest.raises(UnknownTraceError, match="no trace"):
        run_pin(settings, "brief", "dear", "", wait=0)


def test_the_engine_and_the_worker_agree_on_every_moment(clickhouse: ClickHouseProcess) -> None:
    """Hostile ids too."""
    nasty = "x', 'y') OR 1=1 -- %s \\ \u00e9"
    times = [0, 1, DAY_MICROS - 1, DAY_MICROS, TODAY, 4_000_000_000_000_000]
    client = clickhouse.client()
    for days in (0, 1, 90, 36_500):
        rules = Rules({nasty: RetentionDays(rows=days, archive=days)}, frozenset({(nasty, nasty), ("p", "t")}))
        for bounded in BOUNDED[:2]:
            asked = (
                f"SELECT toUnixTimestamp({rules.expression(bounded)}) FROM (SELECT %(project)s AS project_id,"
                " arrayJoin(%(traces)s) AS trace_id,"
                f" fromUnixTimestamp64Micro(toInt64(arrayJoin(%(times)s)), 'UTC') AS {bounded.since})"
            )
            given = {"project": nasty, "traces": ["t", nasty], "times": times}
            found = [row[0] for row in client.query(asked, parameters=given).result_rows]
            assert sorted(found) == sorted([*(expiry(since, days) for since in times), *([FOREVER] * len(times))])
    scores = next(bounded for bounded in BOUNDED if bounded.table == SCORES)
    days = Rules({"": RetentionDays(rows=30)}, frozenset()).expression(scores)
    day = DAY_MICROS
    for group, deleted, at, since in (
        ("", 0, OLD + 9 * day, OLD),  # of a trace: as its other rows
        ("session:s", 0, OLD + 9 * day, OLD + 9 * day),
        ("session:s", 0, OLD - 9 * day, OLD),
        ("run:r", 0, TODAY + 99 * day, TODAY),
        ("run:r", 1, 0, TODAY),
    ):
        given = {"group": group, "deleted": deleted, "times": (OLD, at, TODAY)}
        moments = ", ".join(
            f"fromUnixTimestamp64Micro(toInt64(%(times)s.{number}), 'UTC') AS {name}"
            for number, name in enumerate(("first_seen", "at", "updated_at"), 1)
        )
        asked = (
            f"SELECT toUnixTimestamp({days}) FROM (SELECT 'p' AS project_id, 't' AS trace_id, %(group)s AS score_group,"
            f" %(deleted)s AS is_deleted, {moments})"
        )
        assert client.query(asked, parameters=given).result_rows == [(expiry(since, 30),)]
    client.close()


def test_a_worker_writes_the_moment_into_every_row(stack: Stack) -> None:
    registry = open_registry(stack.settings.registry)
    registry.create_project("one", project_id=PROJECT)
    registry.set_retention(PROJECT, RetentionDays(rows=7))
    registry.pin(PROJECT, f"{1:032x}")
    registry.close()
    records = list(create_update_traffic(3 * 17))
    stack.worker(settle_quiet=0.2)
    produce(stack.settings, records)
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)
    for table, column, days in (
        (TRACES, "first_seen", 7),
        (OBSERVATIONS, "first_seen", 7),
        (RAW_EVENTS, "timestamp", 90),
    ):
        rows = stack.client.query(
            f"SELECT DISTINCT trace_id, toUnixTimestamp64Micro({column}), toUnixTimestamp(expires_at) FROM {table}"
        ).result_rows
        assert len({row[0] for row in rows}) == 3
        for trace, since, until in rows:
            assert until == (FOREVER if trace == f"{1:032x}" else expiry(since, days))
