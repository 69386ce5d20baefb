"""Replays on the real engine: identical where nothing changed, right where something did, nothing lost beside it."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.document import parse_document
from pipeline.events.model import Event, Micros
from pipeline.events.reasons import DecodeError, Reason
from pipeline.registry import open_registry
from pipeline.replay import fold
from pipeline.replay import swap as swap_module
from pipeline.replay.compare import Comparison
from pipeline.replay.run import Options, Question, Report, replay
from pipeline.replay.runs import SwapUnderWayError
from pipeline.replay.shadow import shadow_settings
from pipeline.replay.swap import NoShadowError, compare_shadow, discard_shadow, swap
from pipeline.store.client import connect
from pipeline.store.migrate import migrate
from pipeline.store.rows import EPOCH_STEP
from pipeline.store.tables import COST_HISTORY, OBSERVATIONS, RAW_EVENTS, REPLAY_RUNS, SCORES, TRACES
from pipeline.stream import archived
from tests.fixtures.captures import langfuse_record
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.replay import BEGIN, archive, insert
from tests.fixtures.store import observation_row, trace_row
from tests.fixtures.whole_traffic import whole_traces

TRACES_MADE = 8
HISTORY_DAYS = "SELECT DISTINCT dateDiff('day', repriced_at, expires_at) FROM cost_history_rows"
ALL = Question(BEGIN, BEGIN + timedelta(days=30))
LIVE = Options(wait=0)
SHADOW = Options(target="shadow", wait=0)
WHEN = "first_seen, updated_at, row_version"
PRICES = "prices: [{id: contract, match: 'gpt-4o*', per_million: {input: 1, output: 4}}]"


@pytest.fixture(scope="module")
def place(clickhouse: ClickHouseProcess) -> Iterator[Settings]:
    """A database of these tests, and no worker."""
    made = Settings(clickhouse_url=clickhouse.url, clickhouse_database=f"r{os.urandom(6).hex()}")
    migrate(made)
    yield made
    client = connect(made, database="default")
    for database in (made, shadow_settings(made)):
        client.command(f"DROP DATABASE IF EXISTS {database.clickhouse_database} SYNC")
    client.close()


@pytest.fixture
def client(place: Settings) -> Iterator[Client]:
    """A client of it, when it is empty."""
    made = connect(place)
    for table in (RAW_EVENTS, TRACES, OBSERVATIONS, SCORES, COST_HISTORY, REPLAY_RUNS):
        made.command(f"TRUNCATE TABLE {table}")
    yield made
    made.close()


@pytest.fixture
def settings(place: Settings, client: Client, tmp_path: Path) -> Settings:
    """With a registry of its own."""
    return place.model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def filled(settings: Settings, client: Client) -> Client:
    """Traces of every format, archived, with their rows."""
    archive(client, [record for trace in whole_traces(TRACES_MADE) for record in trace])
    replay(settings, ALL, LIVE)
    return client


def rows_of(client: Client, view: str) -> list[tuple[Any, ...]]:
    """All that a view shows but when."""
    when = WHEN + (", settled" if view == "traces" else "")
    return [tuple(row) for row in client.query(f"SELECT * EXCEPT ({when}) FROM {view} ORDER BY ALL").result_rows]


def everything(client: Client) -> dict[str, list[tuple[Any, ...]]]:
    """All views."""
    return {view: rows_of(client, view) for view in ("traces", "observations", "scores")}


def epochs(client: Client) -> set[int]:
    """Of all rows that are shown."""
    shown = (f"SELECT DISTINCT intDiv(row_version, {EPOCH_STEP}) FROM {view}" for view in everything(client))
    return {row[0] for query in shown for row in client.query(query).result_rows}


def publish(settings: Settings, text: str = PRICES) -> int:
    registry = open_registry(settings.registry)
    plain = parse_document(text).model_dump(mode="json", by_alias=True)
    published, _ = registry.publish_prices(plain, base_version())
    registry.close()
    return published.epoch


def test_a_replay_of_the_same_by_the_same_changes_nothing_but_when(settings: Settings, filled: Client) -> None:
    before = everything(filled)
    assert epochs(filled) == {1}
    _, report = replay(settings.model_copy(update={"trace_bytes": 10_000}), ALL, LIVE)
    assert everything(filled) == before
    assert epochs(filled) == {2}
    assert report.counts["traces"] == TRACES_MADE == len(before["traces"])
    assert filled.query("SELECT count() FROM cost_history").first_row == (0,)


def test_a_dry_run_folds_everything_and_writes_nothing(settings: Settings, client: Client) -> None:
    archive(client, [record for trace in whole_traces(3) for record in trace])
    _, report = replay(settings, ALL, Options(dry_run=True))
    assert (report.counts["traces"], report.counts["trace_rows"]) == (3, 3)
    assert report.counts["observation_rows"] > 20
    assert everything(client) == {"traces": [], "observations": [], "scores": []}
    assert client.query("SELECT count() FROM replay_runs").first_row == (0,)


def test_the_scope_chooses_whole_traces_by_the_time_of_any_of_their_events(settings: Settings, client: Client) -> None:
    calls = [_call(trace, number) for number in range(4) for trace in ("a", "b")]
    archive(client, calls, seconds=60)  # a at minutes 0, 2, 4, 6; b at 1, 3, 5, 7
    cases: list[tuple[Question, int, int]] = [
        (Question(BEGIN, BEGIN + timedelta(minutes=1)), 1, 4),
        (Question(BEGIN + timedelta(minutes=7), None), 1, 4),
        (Question(BEGIN + timedelta(minutes=2), BEGIN + timedelta(minutes=4)), 2, 8),
        (Question(BEGIN, ALL.until, "another"), 0, 0),
        (Question(BEGIN, ALL.until, "project-1", ("b", "c")), 1, 4),
    ]  # fmt: skip
    for question, traces, events in cases:
        end = question.until or ALL.until
        _, report = replay(settings, question._replace(until=end), Options(dry_run=True))
        assert (report.counts["traces"], report.counts["events"]) == (traces, events), question


def test_new_prices_reach_history_and_the_old_cost_stays_to_be_asked_for(settings: Settings, filled: Client) -> None:
    priced = "SELECT count(), sum(total_cost) FROM observations WHERE price_id = 'entry:contract'"
    before = filled.query("SELECT sum(total_cost) FROM observations").first_row[0]
    publish(settings)
    replay(settings, ALL, LIVE._replace(reason="contract"))
    count, _ = filled.query(priced).first_row
    assert count > 10
    after = filled.query("SELECT sum(total_cost) FROM observations").first_row[0]
    assert after != before
    told = "SELECT sum(difference), any(reason), uniqExact(epoch), max(epoch) FROM cost_history"
    assert filled.query(told).first_row == (after - before, "contract", 1, 3)
    assert filled.query("SELECT sum(total_cost) FROM traces").first_row[0] == filled.query(
        "SELECT sum(total_cost) FROM observations WHERE NOT has(flags, 'duplicate_usage')"
    ).first_row[0]  # fmt: skip


def mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping that names every step otherwise, reads more tokens, and no longer makes the step numbered 1."""
    real = archived.decode_record

    def decode(record: Any, size: int) -> list[Event]:
        events = []
        for event in real(record, size):
            fields = {**event.fields, "name": "mended"} if event.kind == "observation" else event.fields
            if "usage" in fields:
                fields = {**fields, "usage": {"input": 1_000, "output": 10}}  # type: ignore[dict-item]
            if event.entity_id.endswith("-1"):
                event = event._replace(entity_id=event.entity_id + "-anew")
            events.append(event._replace(fields=fields))  # type: ignore[arg-type]
        return events

    monkeypatch.setattr(archived, "decode_record", decode)


def test_a_mended_mapping_brings_its_values_and_takes_back_what_it_no_longer_makes(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled.query("SELECT count() FROM observations").first_row
    mend(monkeypatch)
    replay(settings, ALL, LIVE)
    assert filled.query("SELECT count() FROM observations").first_row == before
    assert filled.query("SELECT DISTINCT name FROM observations").result_rows == [("mended",)]
    ids = "SELECT countIf(observation_id LIKE '%-1'), countIf(observation_id LIKE '%-1-anew') FROM observations"
    assert filled.query(ids).first_row == (0, TRACES_MADE)
    used = "SELECT DISTINCT usage['input'], usage['output'] FROM observations WHERE usage['total'] > 0"
    assert filled.query(used).result_rows == [(1_000, 10)]
    assert filled.query("SELECT count() > 0 FROM cost_history").first_row == (1,)
    assert filled.query(HISTORY_DAYS).result_rows == [(401,)]  # the midnight after 400 whole days


def test_shadow_tables_tell_what_a_mended_mapping_changes_and_the_swap_brings_it(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(filled)
    replay(settings, ALL, SHADOW)
    found = compare_shadow(settings)
    assert all(each.same for each in found.values())
    assert found[OBSERVATIONS].equal == len(before["observations"])
    assert found[SCORES].equal == len(before["scores"]) > 0

    discard_shadow(settings)
    with pytest.raises(NoShadowError):
        compare_shadow(settings)
    mend(monkeypatch)
    replay(settings, ALL, SHADOW)
    found = compare_shadow(settings)
    some = found[OBSERVATIONS]
    assert (some.only_live, some.only_shadow) == (TRACES_MADE, TRACES_MADE)
    assert some.changed + some.only_live == len(before["observations"])
    assert some.columns["name"] == some.changed
    assert some.examples["name"].shadow == "mended"
    assert some.examples["name"].live not in ("", "mended")
    assert "row_version" not in some.columns
    assert some.live_examples[0].endswith("-1")
    assert found[SCORES] == Comparison(equal=len(before["scores"]))
    assert found[TRACES].columns["total_tokens"] > 0
    assert everything(filled) == before

    shadow = connect(shadow_settings(settings))
    wanted = everything(shadow)
    shadow.close()
    swap(settings, wait=0)
    assert everything(filled) == wanted
    assert epochs(filled) == {2}
    assert filled.query("SELECT count() > 0, uniqExact(epoch) FROM cost_history").first_row == (1, 1)
    assert filled.query(HISTORY_DAYS).result_rows == [(401,)]  # the midnight after 400 whole days
    with pytest.raises(NoShadowError, match="--into shadow"):
        swap(settings, wait=0)


def test_what_is_archived_or_written_while_the_shadow_is_filled_is_in_the_swapped_rows(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = filled.query("SELECT min(trace_id) FROM traces").first_row[0]
    replay(settings, ALL, SHADOW)
    archive(filled, [_call(trace, 1), _call("new", 1)], first_offset=10_000)  # the first is only archived so far
    late: dict[str, Any] = {"trace_id": trace, "observation_id": "beside", "project_id": "project-1"}
    [(first, version)] = filled.query(
        f"SELECT first_seen, row_version FROM traces WHERE trace_id = '{trace}'", query_formats={"DateTime64": "int"}
    ).result_rows
    moved = swap_module._move

    def move(client: Client, shadow: str, table: str) -> int:
        """Beside the swap a worker, which has the new epoch, writes a trace of which it got one more event."""
        if table == TRACES:
            version_now = 2 * EPOCH_STEP + version % EPOCH_STEP + 10
            insert(client, OBSERVATIONS, [observation_row(first_seen=first, row_version=version_now, **late)])
        return moved(client, shadow, table)

    monkeypatch.setattr(swap_module, "_move", move)
    report = swap(settings, wait=0)
    assert report.counts["overtaken"] == 0  # "new" has no row yet: its worker writes it, or the next replay
    found = filled.query(f"SELECT observation_id FROM observations WHERE trace_id = '{trace}'").result_rows
    assert {("beside",), (f"{trace}-call-1",)} < set(found)
    told = f"SELECT observation_count FROM traces WHERE trace_id = '{trace}'"
    assert filled.query(told).first_row[0] == len(found) - 1


def test_a_swap_that_broke_off_is_completed_by_the_same_command(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend(monkeypatch)
    replay(settings, ALL, SHADOW)
    shadow = connect(shadow_settings(settings))
    wanted = everything(shadow)
    shadow.close()
    moved = swap_module._move

    def broken(client: Client, database: str, table: str) -> int:
        if table == TRACES:
            raise RuntimeError("power cut")
        return moved(client, database, table)

    monkeypatch.setattr(swap_module, "_move", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        swap(settings, wait=0)
    monkeypatch.setattr(swap_module, "_move", moved)
    for forbidden in (lambda: discard_shadow(settings), lambda: replay(settings, ALL, SHADOW)):
        with pytest.raises(SwapUnderWayError, match="--swap"):
            forbidden()
    swap(settings, wait=0)
    assert everything(filled) == wanted


def test_a_trace_of_which_the_archive_has_lost_events_keeps_its_rows(settings: Settings, filled: Client) -> None:
    before = everything(filled)
    [(trace,), (gone,)] = filled.query("SELECT trace_id FROM traces ORDER BY trace_id LIMIT 2").result_rows
    some = "event_id IN (SELECT min(event_id) FROM raw_events GROUP BY trace_id)"
    filled.command(f"DELETE FROM raw_events WHERE trace_id = '{trace}' AND {some}")
    filled.command(f"DELETE FROM raw_events WHERE trace_id = '{gone}'")
    publish(settings)
    _, report = replay(settings, ALL, LIVE)
    assert report.counts["skipped_expired"] == 1
    assert report.skipped == [("skipped_expired", ("project-1", trace))]
    kept = f"SELECT * FROM observations WHERE trace_id IN ('{trace}', '{gone}') AND row_version < {2 * EPOCH_STEP}"
    assert len(filled.query(kept).result_rows) == sum(row[1] in (trace, gone) for row in before["observations"])
    assert {view: len(rows) for view, rows in everything(filled).items()} == {
        view: len(rows) for view, rows in before.items()
    }


def test_a_trace_with_an_event_that_cannot_be_read_keeps_its_rows(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(filled)
    real = archived.decode_record

    def decode(record: Any, size: int) -> list[Event]:
        if record.offset == 5:
            raise DecodeError(Reason.MALFORMED, "cannot be read any more")
        return real(record, size)

    monkeypatch.setattr(archived, "decode_record", decode)
    _, report = replay(settings, ALL, LIVE)
    assert (report.counts["skipped_unreadable"], report.counts["traces"]) == (1, TRACES_MADE - 1)
    assert everything(filled) == before


def test_broken_off_it_goes_on_where_it_was(
    settings: Settings, filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(filled)
    monkeypatch.setattr(fold, "SLICE_TRACES", 2)

    def broken(report: Report, about: int) -> None:
        if report.counts["traces"] >= 6:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        replay(settings, ALL, LIVE, broken)
    assert epochs(filled) == {1, 2}
    _, report = replay(settings, ALL, LIVE)
    assert report.resumed_after != ("", "")
    assert (report.epoch, report.counts["traces"], epochs(filled)) == (2, TRACES_MADE, {2})
    assert report.events < report.counts["events"]
    assert everything(filled) == before
    _, report = replay(settings, ALL, LIVE)
    assert (report.epoch, report.resumed_after) == (3, ("", ""))


def test_a_row_that_a_worker_writes_meanwhile_under_the_new_epoch_wins(settings: Settings, filled: Client) -> None:
    row = {"trace_id": "", "project_id": "project-1"}
    [(row["trace_id"], id_, first, version)] = filled.query(
        "SELECT trace_id, observation_id, first_seen, row_version FROM observations ORDER BY trace_id, observation_id "
        "LIMIT 1", query_formats={"DateTime64": "int"},
    ).result_rows  # fmt: skip
    version = 2 * EPOCH_STEP + version % EPOCH_STEP + 2

    def worker(*_: object) -> None:
        insert(filled, OBSERVATIONS, [
            observation_row(observation_id=id_, first_seen=first, row_version=version, name="fuller", **row)
        ])  # fmt: skip

    replay(settings, ALL, LIVE, worker)
    query = f"SELECT name FROM observations WHERE trace_id = '{row['trace_id']}' AND observation_id = '{id_}'"
    assert filled.query(query).result_rows == [("fuller",)]


def test_a_trace_of_which_a_worker_archived_more_is_made_once_more(settings: Settings, filled: Client) -> None:
    trace = filled.query("SELECT min(trace_id) FROM traces").first_row[0]
    done: list[int] = []

    def late(*_: object) -> None:
        if not done:
            done.append(archive(filled, [_call(trace, 1)], first_offset=9_000))

    _, report = replay(settings, ALL, LIVE, late)
    assert report.counts["made_twice"] == 1
    found = filled.query(f"SELECT count() FROM observations WHERE observation_id = '{trace}-call-1'").first_row
    assert found == (1,)


def test_a_trace_that_settles_meanwhile_under_the_old_epoch_is_settled_in_the_end(
    settings: Settings, filled: Client
) -> None:
    [(trace, first, version)] = filled.query(
        "SELECT trace_id, first_seen, row_version FROM traces ORDER BY trace_id LIMIT 1",
        query_formats={"DateTime64": "int"},
    ).result_rows
    assert filled.query("SELECT countIf(settled) FROM traces").first_row == (0,)

    def worker(*_: object) -> None:
        row = trace_row(project_id="project-1", trace_id=trace, first_seen=first, row_version=version + 1)
        insert(filled, TRACES, [row])

    before = everything(filled)
    _, report = replay(settings, ALL, LIVE, worker)
    assert report.counts["made_twice"] == 1
    assert filled.query("SELECT groupArray(trace_id) FROM traces WHERE settled").first_row == ([trace],)
    assert everything(filled) == before


def test_deletions_keep_their_effect(settings: Settings, filled: Client) -> None:
    from pipeline.events import headers, keys
    from pipeline.events.canonical import to_canonical_json
    from pipeline.events.model import Kind
    from tests.fixtures.captures import Outgoing

    trace = filled.query("SELECT min(trace_id) FROM traces").first_row[0]
    gone = Event("project-1", trace, Kind.TRACE, trace, "gone", Micros(2**51), {"deleted": True})
    record = Outgoing(keys.record_key("project-1", trace), to_canonical_json(gone),
                      ((headers.CONTENT_TYPE, headers.CANONICAL_JSON),))  # fmt: skip
    archive(filled, [record], first_offset=9_000)
    for options in (LIVE, LIVE):
        replay(settings, ALL, options)
        for view in ("traces", "observations", "scores"):
            assert filled.query(f"SELECT count() FROM {view} WHERE trace_id = '{trace}'").first_row == (0,), view
    assert len(rows_of(filled, "traces")) == TRACES_MADE - 1


def _call(trace: str, number: int) -> Any:
    body = {
        "id": f"{trace}-call-{number}", "traceId": trace, "name": "late", "startTime": "2026-11-20T12:00:00Z",
        "endTime": "2026-11-20T12:00:01Z", "model": "gpt-4o", "usageDetails": {"input": 10, "output": number},
    }  # fmt: skip
    event = {"id": f"late-{trace}-{number}", "type": "generation-create", "timestamp": "2026-11-20T12:00:01Z"}
    return langfuse_record({**event, "body": body})
