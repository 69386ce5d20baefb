"""Each way in which rows can differ from archived events, made on purpose, found and mended; and nothing else found.

A worker folds real traffic first, so what is compared is what a worker leaves behind.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.audit.diagnose import Divergence
from pipeline.audit.run import Audit, Report
from pipeline.audit.scope import Scope
from pipeline.audit.suspects import recent, stored_now
from pipeline.cost.document import check_document
from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.model import Event, Kind, Micros
from pipeline.local.kafka import LocalKafka
from pipeline.registry import open_registry
from pipeline.store.insert import Inserter
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream.moves import MOST_MOVES
from tests.fixtures.captures import PROJECT, Outgoing, produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import raw_event_row
from tests.fixtures.views import digest, wait_until_settled, wait_until_stored
from tests.fixtures.whole_traffic import as_a_log_has_them, whole_traces
from tests.fixtures.worker import Stack, new_stack

pytestmark = pytest.mark.stack

ALL = Scope(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
AT = Micros(1_764_000_000_000_000)
HOUR = timedelta(hours=1)


def said(trace: str, kind: Kind, entity: str, number: int, **fields: Any) -> Outgoing:
    at = Micros(AT + number)
    event = Event(PROJECT, trace, kind, entity, f"{trace}-{entity}-{number}", at, fields)  # type: ignore[arg-type]
    return Outgoing(
        record_key(PROJECT, trace), to_canonical_json(event), ((headers.CONTENT_TYPE, headers.CANONICAL_JSON),)
    )


def calls(trace: str, count: int = 3) -> list[Outgoing]:
    """A trace with finished spans and a score."""
    spans = [
        said(trace, Kind.OBSERVATION, f"{trace}-{n}", n, type="SPAN", start_time=AT, end_time=AT + 9)
        for n in range(count)
    ]
    return [*spans, said(trace, Kind.SCORE, f"{trace}-s", 50, name="good", value=1.0, data_type="NUMERIC")]


def odd() -> list[Outgoing]:
    """What looks like a divergence and is none: deletions before and after, and scores without a trace."""
    return [
        *calls("deleted"), said("deleted", Kind.TRACE, "deleted", 90, deleted=True),
        said("deleted early", Kind.TRACE, "deleted early", 90, deleted=True), *calls("deleted early"),
        *calls("reborn"), said("reborn", Kind.TRACE, "reborn", 90, deleted=True),
        said("reborn", Kind.OBSERVATION, "reborn-0", 95, type="SPAN", start_time=AT, end_time=AT + 9),
        *calls("score deleted"), said("score deleted", Kind.SCORE, "score deleted-s", 90, deleted=True),
        said("session:s", Kind.SCORE, "of a session", 1, name="a", value=1.0, data_type="NUMERIC", session_id="s"),
        said("session:s", Kind.SCORE, "of a session", 2, name="a", value=2.0, data_type="NUMERIC", session_id="s"),
        said("session:s", Kind.SCORE, "another", 3, name="b", value=2.0, data_type="NUMERIC", session_id="s"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def stack(
    kafka: LocalKafka, clickhouse: ClickHouseProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Traffic that a worker has folded; the worker is still there, its traces in memory."""
    running = new_stack(kafka, clickhouse, tmp_path_factory.mktemp("audit"))
    records = as_a_log_has_them([record for trace in whole_traces(12) for record in trace])
    records += odd() + [record for name in DAMAGE for record in calls(name)]
    running.worker(settle_quiet=0.2, settle_idle=0.5, hold=0.2, rest=0.5)
    produce(running.settings, records)
    asyncio.run(_in_two_partitions(running, calls("torn", 6)))
    wait_until_stored(running, len(records) + 7)
    wait_until_settled(running)
    yield running
    running.close()


async def _in_two_partitions(stack: Stack, records: list[Outgoing]) -> None:
    """As when partitions are added twice while a trace's events are on their way: two workers hold halves of it.

    A record that was moved so often stays where it is (stream/moves.py), as its worker no longer knows better.
    """
    often = (headers.MOVED, str(MOST_MOVES).encode())
    producer = AIOKafkaProducer(bootstrap_servers=stack.settings.kafka_bootstrap, acks="all")
    async with producer:
        for number, record in enumerate(records):
            await producer.send_and_wait(
                stack.settings.events_topic, record.value, key=record.key, headers=[*record.headers, often],
                partition=number % 2,
            )  # fmt: skip


def audited(stack: Stack, *, contents: bool = False, **how: Any) -> Report:
    audit = Audit(stack.settings, **how)
    try:
        return asyncio.run(audit.everything(ALL, contents=contents))
    finally:
        audit.close()


def command(stack: Stack, sql: str, **parameters: Any) -> None:
    stack.client.command(sql, parameters=parameters)


def copy_rows(stack: Stack, table: str, trace: str, changes: str) -> None:
    """Write the rows of a trace again with other values."""
    command(
        stack,
        f"INSERT INTO {table} SELECT * REPLACE({changes}) FROM {table} FINAL"
        " WHERE project_id = %(project)s AND trace_id = %(trace)s",
        project=PROJECT, trace=trace,
    )  # fmt: skip


def an_event_is_archived_that_is_in_no_row(stack: Stack, trace: str) -> None:
    new = said(trace, Kind.OBSERVATION, "new", 60, type="SPAN", start_time=AT, end_time=AT + 9)
    event_id = f"{trace}-new-60"
    first_seen = stack.count(f"SELECT toUnixTimestamp64Micro(first_seen) FROM traces WHERE trace_id = '{trace}'")
    row = raw_event_row(
        event_id, new.value, project_id=PROJECT, trace_id=trace, entity_id="new", first_seen=first_seen,
        timestamp=first_seen, topic=stack.settings.events_topic, content_type=headers.CANONICAL_JSON.decode(),
    )  # fmt: skip
    assert asyncio.run(Inserter(stack.client).insert("raw_events", [row], event_id)) == []


def rows_are_gone(stack: Stack, trace: str) -> None:
    for table in ("traces_rows", "observations_rows"):
        command(stack, f"DELETE FROM {table} WHERE trace_id = %(trace)s", trace=trace)


def an_observation_has_no_row(stack: Stack, trace: str) -> None:
    command(stack, "DELETE FROM observations_rows WHERE observation_id = %(id)s", id=f"{trace}-1")


def rows_stand_under_two_keys(stack: Stack, trace: str) -> None:
    for table in ("traces_rows", "observations_rows", "scores_rows"):
        copy_rows(stack, table, trace, "first_seen + INTERVAL 2 HOUR AS first_seen, row_version - 2 AS row_version")


def a_row_claims_too_much(stack: Stack, trace: str) -> None:
    for table in ("traces_rows", "observations_rows"):
        copy_rows(stack, table, trace, "row_version + 6 AS row_version, 'invented' AS name")


def a_row_is_left_over(stack: Stack, trace: str) -> None:
    copy_rows(stack, "observations_rows", trace, "concat(observation_id, '-ghost') AS observation_id")


def a_score_is_left_over(stack: Stack, trace: str) -> None:
    copy_rows(stack, "scores_rows", trace, "'ghost' AS score_id")


Damage = Callable[[Stack, str], None]
DAMAGE: dict[str, tuple[Damage, set[Divergence]]] = {
    "event in no row": (an_event_is_archived_that_is_in_no_row, {Divergence.MISSING_EVENTS, Divergence.MISSING_ROWS}),
    "no rows": (rows_are_gone, {Divergence.MISSING_EVENTS, Divergence.MISSING_ROWS}),
    "no row of one": (an_observation_has_no_row, {Divergence.MISSING_ROWS}),
    "two keys": (rows_stand_under_two_keys, {Divergence.SPLIT}),
    "claims too much": (a_row_claims_too_much, {Divergence.OVERCOUNTED}),
    "left over": (a_row_is_left_over, {Divergence.LEFT_OVER}),
    "score left over": (a_score_is_left_over, {Divergence.LEFT_OVER}),
}


def test_every_divergence_is_found_and_mended_and_nothing_else(stack: Stack) -> None:
    torn = {"torn": {Divergence.MISSING_EVENTS}}
    found = audited(stack)
    assert {each.trace_id: set(each.divergences) - {Divergence.MISSING_ROWS} for each in found.findings} == torn
    assert found.traces >= 12 + 5 + len(DAMAGE)
    assert audited(stack, fix=True).remaining == 0
    assert audited(stack).findings == []
    right = digest(stack)
    assert stack.count("SELECT count() FROM observations WHERE trace_id = 'torn'") == 6

    for name, (damage, _) in DAMAGE.items():
        damage(stack, name)
    found = audited(stack)
    assert {each.trace_id: set(each.divergences) for each in found.findings} == {
        name: kinds for name, (_, kinds) in DAMAGE.items()
    }
    mended = audited(stack, fix=True)
    assert [each.trace_id for each in mended.findings if not each.mended] == ["claims too much"]
    assert "invented" in str(stack.client.query("SELECT groupArray(name) FROM traces").result_rows)
    assert audited(stack, fix=True, trust_archive=True).remaining == 0
    assert audited(stack).findings == []
    command(stack, "DELETE FROM raw_events WHERE entity_id = 'new'")
    assert audited(stack, fix=True, trust_archive=True).mended == 1
    assert digest(stack) == right  # also: rows of a version that is as high, but not higher, came back as they were


def test_later_events_win_over_what_was_mended(stack: Stack) -> None:
    """The worker had the trace in memory meanwhile, with all of its events."""
    name = "no rows"
    rows_are_gone(stack, name)
    assert audited(stack, fix=True).remaining == 0
    before = stack.count(f"SELECT row_version FROM traces WHERE trace_id = '{name}'")
    stored = sum(each.end for each in stored_now(stack.client, stack.settings.events_topic))
    produce(stack.settings, [said(name, Kind.OBSERVATION, f"{name}-0", 70, name="later")])
    wait_until_stored(stack, stored + 1)
    assert stack.count("SELECT count() FROM observations WHERE name = 'later'") == 1
    after = stack.count(f"SELECT row_version FROM traces WHERE trace_id = '{name}'")
    assert after // EPOCH_STEP == before // EPOCH_STEP
    assert after // 2 == before // 2 + 1


def test_recent_traces_are_looked_at_by_their_events(stack: Stack) -> None:
    topic = stack.settings.events_topic
    bounds = {each.partition: (0, each.end) for each in stored_now(stack.client, topic)}
    an_observation_has_no_row(stack, "no row of one")
    audit = Audit(stack.settings, fix=True)
    try:
        report = asyncio.run(audit.recent(recent(stack.client, topic, bounds)))
        nothing = asyncio.run(
            audit.recent(recent(stack.client, topic, {p: (high, high) for p, (_, high) in bounds.items()}))
        )
    finally:
        audit.close()
    assert [(each.trace_id, each.mended) for each in report.findings] == [("no row of one", True)]
    assert report.traces > 12
    assert (nothing.traces, nothing.findings) == (0, [])


def test_a_trace_in_flight_and_one_whose_archive_expired_are_not_judged(stack: Stack) -> None:
    command(stack, "INSERT INTO raw_events SELECT * REPLACE('flying' AS trace_id, 1000000 AS offset) FROM"
                   " (SELECT * FROM raw_events WHERE trace_id = 'left over')")  # fmt: skip
    command(stack, "INSERT INTO traces_rows SELECT * REPLACE('expired' AS trace_id, ['archive_expired'] AS flags)"
                   " FROM (SELECT * FROM traces_rows WHERE trace_id = 'left over')")  # fmt: skip
    report = audited(stack, fix=True)
    assert report.findings == []
    assert {"in flight", "archive expired"} <= report.skipped.keys()


def test_a_row_that_says_something_else_is_found_and_healed(stack: Stack) -> None:
    """One column of one row at a time; numbers of events are right throughout."""
    clean = audited(stack, contents=True)
    assert clean.findings == []
    assert clean.compared >= clean.traces - sum(clean.skipped.values()) > 12
    right = digest(stack)
    expected: dict[str, set[str]] = {}
    for number, (table, change, column) in enumerate(CHANGES):
        key = table.removesuffix("s_rows")
        [(trace, id_)] = stack.client.query(
            f"SELECT trace_id, {key}_id FROM {table} FINAL WHERE {WHERE[table]} ORDER BY {key}_id LIMIT 1"
            f" OFFSET {number}"
        ).result_rows
        command(
            stack, f"INSERT INTO {table} SELECT * REPLACE({change}) FROM {table} FINAL"
            f" WHERE trace_id = %(trace)s AND {key}_id = %(id)s", trace=trace, id=id_,
        )  # fmt: skip
        expected.setdefault(trace, set()).add(f"{key}.{column}")
    assert audited(stack).findings == []
    found = audited(stack, contents=True).findings
    assert {each.trace_id: set(each.columns) for each in found} == expected
    assert {each.divergences for each in found} == {(Divergence.OTHER_CONTENTS,)}
    assert audited(stack, contents=True, fix=True).remaining == 0
    assert digest(stack) == right


CHANGES = [
    ("observations_rows", "'changed' AS name", "name"),
    ("observations_rows", "total_cost + 1 AS total_cost", "total_cost"),
    ("observations_rows", "mapConcat(metadata, map('k', 'v')) AS metadata", "metadata"),
    ("traces_rows", "toDateTime64(0, 6, 'UTC') AS end_time", "end_time"),
    ("scores_rows", "0.5 AS value", "value"),
]
WHERE = {
    "observations_rows": "total_cost > 0 AND price_id != ''", "traces_rows": "observation_count > 2",
    "scores_rows": "trace_id != ''",
}  # fmt: skip


def test_rows_of_an_older_book_are_no_false_alarm(stack: Stack) -> None:
    """Nor those of another base; what does not depend on prices is compared all the same."""
    registry = open_registry(stack.settings.registry)
    dear = {"prices": [{"id": "dear", "match": ".*", "per_unit": {"input": "1", "output": "1"}}]}
    document = check_document(dear).model_dump(mode="json", by_alias=True)
    registry.publish_prices(document, "another base")
    registry.close()
    assert audited(stack, contents=True).findings == []
    copy_rows(stack, "observations_rows", "left over", "row_version + 1099511627776 AS row_version")
    copy_rows(stack, "traces_rows", "left over", "row_version + 1099511627776 AS row_version, 'other' AS name")
    copy_rows(stack, "scores_rows", "left over", "row_version + 1099511627776 AS row_version")
    report = audited(stack, contents=True)
    assert [(each.trace_id, each.columns) for each in report.findings] == [("left over", ("trace.name",))]
    assert report.skipped["prices of another book"] == 1
