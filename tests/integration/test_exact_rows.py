"""Rows of traces whose events come in ways that rivals get wrong: ids on the root alone and last, parts that never come
or come an hour later, agents that run for hours, giants, and archives that have expired."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.captures import Outgoing, langfuse_record, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUICK: dict[str, Any] = {"settle_quiet": 0.2, "settle_idle": 0.6, "resident_traces": 20}


def _event(id_: str, kind: str, second: float, **body: Any) -> Outgoing:
    return langfuse_record({"id": id_, "type": kind, "timestamp": _at(second), "body": body})


def _at(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat()


def _rows(stack: Stack, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in stack.client.query(sql).result_rows]


def _wait_for(stack: Stack, sql: str, holds: Callable[[list[tuple[Any, ...]]], bool], seconds: float = 30) -> float:
    """Seconds until the answer is as wanted."""
    began = time.monotonic()
    while not holds(answer := _rows(stack, sql)):
        assert time.monotonic() - began < seconds, f"{sql} answers {answer}"
        time.sleep(0.02)
    return time.monotonic() - began


def _call(trace: str, number: int, **more: Any) -> Outgoing:
    """A finished call of 0.1 USD under the root of its trace."""
    return _event(
        f"{trace}-{number}", "generation-create", number, id=f"{trace}-{number}", traceId=trace,
        parentObservationId=f"{trace}-root", startTime=_at(number), endTime=_at(number + 1),
        costDetails={"total": 0.1}, **more,
    )  # fmt: skip


def _agent(trace: str, user: str) -> Outgoing:
    """The trace event that alone names user and session."""
    return _event(f"{trace}-t", "trace-create", 0, id=trace, name="agent", userId=user, sessionId=f"of {user}")


def _root(trace: str) -> Outgoing:
    return _event(f"{trace}-r", "span-create", 0, id=f"{trace}-root", traceId=trace, startTime=_at(0), endTime=_at(9))


def test_cost_is_attributed_to_user_and_session_though_the_root_comes_last_and_later(stack: Stack) -> None:
    stack.worker(**QUICK)
    traces = [f"t{number}" for number in range(50)]
    calls = [_call(trace, number) for trace in traces for number in range(1, 5)]
    produce(stack.settings, calls)
    wait_until_stored(stack, len(calls))
    wait_until_settled(stack)  # and most of them leave memory
    assert _rows(stack, "SELECT countIf(user_id != ''), countIf(orphan), count() FROM observations") == [(0, 200, 200)]
    late = [event for n, trace in enumerate(traces) for event in (_root(trace), _agent(trace, f"user {n % 5}"))]
    produce(stack.settings, late)
    wait_until_stored(stack, len(calls) + len(late))
    wait_until_settled(stack)
    by_user = _rows(stack, "SELECT user_id, toFloat64(sum(total_cost)) FROM observations GROUP BY user_id ORDER BY 1")
    assert by_user == [(f"user {n}", pytest.approx(4.0)) for n in range(5)]
    assert _rows(stack, "SELECT count(), toString(sum(total_cost)) FROM sessions") == [(5, "20")]
    assert _rows(stack, "SELECT countIf(orphan), uniqExact(session_id), count() FROM observations") == [(0, 5, 250)]


def test_what_never_came_is_flagged_and_what_comes_later_mends_it(stack: Stack, other_stack: Stack) -> None:
    """Of a hundred traces some roots and some spans in the middle are never sent, then they are."""
    records = list(create_update_traffic(1_700))
    missing = [record for record in records if _is_missing(record.value)]
    present = [record for record in records if not _is_missing(record.value)]
    stack.worker(**QUICK)
    produce(stack.settings, present)
    wait_until_stored(stack, len(present))
    wait_until_settled(stack)
    known = _rows(stack, "SELECT groupArray(observation_id) FROM observations")[0][0]
    assert sorted(known) == sorted({_observation(each.value) for each in present} - {""})
    orphans = _rows(stack, "SELECT count() FROM observations WHERE parent_observation_id NOT IN"
                           " (SELECT observation_id FROM observations) AND parent_observation_id != ''")  # fmt: skip
    flagged = _rows(stack, "SELECT countIf(has(flags, 'orphan')) FROM observations")
    assert flagged == orphans != [(0,)]
    produce(stack.settings, missing)
    wait_until_stored(stack, len(records))
    wait_until_settled(stack)
    other_stack.worker()
    produce(other_stack.settings, records)
    wait_until_stored(other_stack, len(records))
    wait_until_settled(other_stack)
    assert digest(stack) == digest(other_stack)


def _observation(value: bytes) -> str:
    """The id of the observation that an event is about, '' for a trace's."""
    return value.split(b'"body":{"id":"')[1].split(b'"')[0].decode() if b'"trace-create"' not in value else ""


def _is_missing(value: bytes) -> bool:
    """Roots of every twentieth trace, middles of every twenty-first."""
    id_ = _observation(value)
    if not id_:
        return False
    trace, step = id_.split("-")
    return (int(trace, 16) % 20 == 3 and step == "0") or (int(trace, 16) % 21 == 4 and step == "2")


def test_an_agent_that_runs_for_hours_is_seen_running_at_once_and_right_in_the_end(stack: Stack) -> None:
    """Two hours by the events' own time; what a person waits for is the arrival."""
    stack.worker(settle_quiet=0.3, settle_idle=2.0)
    begun = [
        _event("t", "trace-create", 0, id="long", name="agent", userId="ada"),
        _event("r", "span-create", 0, id="long-root", traceId="long", startTime=_at(0)),
    ]
    produce(stack.settings, begun)
    running = "SELECT status, observation_count FROM traces WHERE trace_id = 'long'"
    seconds = _wait_for(stack, running, lambda rows: bool(rows) and rows[0][0] == "RUNNING")
    print(f"a row of the trace after {seconds:.2f} s")
    assert seconds < 5
    calls = [_call("long", number * 60, level="WARNING") for number in range(1, 120)]
    produce(stack.settings, calls)
    _wait_for(stack, running, lambda rows: rows == [("RUNNING", 120)])
    ended = _event("e", "span-update", 7200, id="long-root", traceId="long", endTime=_at(7200))
    produce(stack.settings, [ended])
    _wait_for(stack, running, lambda rows: rows == [("SUCCESS", 120)])
    wait_until_settled(stack)
    total = "SELECT toFloat64(total_cost), latency_ms, level, settled FROM traces WHERE trace_id = 'long'"
    assert _rows(stack, total) == [(pytest.approx(11.9), 7_200_000.0, "WARNING", True)]
    assert _rows(stack, "SELECT toFloat64(subtree_cost) FROM observations WHERE depth = 0") == [(pytest.approx(11.9),)]


def test_a_giant_trace_is_written_right_though_its_content_leaves_memory(stack: Stack, other_stack: Stack) -> None:
    calls = [_call("giant", number, input="x" * 2000) for number in range(1, 1500)]
    late = [_root("giant"), _agent("giant", "ada"), *(
        _event(f"u{n}", "generation-update", n + 5, id=f"giant-{n}", traceId="giant", output="done")
        for n in range(1, 1500, 7)
    )]  # fmt: skip
    for running, settings in ((stack, {"trace_bytes": 200_000, "rest": 0.5}), (other_stack, {})):
        running.worker(**settings)
        produce(running.settings, calls)
        wait_until_stored(running, len(calls))
        produce(running.settings, late)
        wait_until_stored(running, len(calls) + len(late))
        wait_until_settled(running)
    assert digest(stack) == digest(other_stack)
    told = "SELECT count(), countIf(user_id = 'ada'), countIf(output = 'done'), min(length(input)) FROM observations"
    assert _rows(stack, told + " WHERE type = 'GENERATION'") == [(1499, 1499, 215, 2000)]


def test_events_for_a_trace_whose_archive_expired_are_merged_onto_its_rows(stack: Stack) -> None:
    worker = stack.worker("before", **QUICK)
    begun = [_root("old"), _agent("old", "ada"), *(_call("old", number) for number in (1, 2))]
    produce(stack.settings, begun)
    wait_until_stored(stack, len(begun))
    wait_until_settled(stack)
    worker.stop()
    before = _rows(stack, "SELECT first_seen, row_version FROM traces")
    stack.client.command("TRUNCATE TABLE raw_events")
    stack.worker("after", **QUICK)
    late = [
        _event("late", "generation-update", 50, id="old-1", traceId="old", output="late"),
        _call("old", 3),
    ]
    produce(stack.settings, late)
    wait_until_stored(stack, len(begun) + len(late))
    wait_until_settled(stack)
    [(first_seen, version)] = _rows(stack, "SELECT first_seen, row_version FROM traces")
    assert (first_seen, version) == (before[0][0], before[0][1] + 4)
    assert _rows(stack, "SELECT observation_id, output, user_id FROM observations ORDER BY 1") == [
        ("old-1", "late", "ada"), ("old-2", "", "ada"), ("old-3", "", "ada"), ("old-root", "", "ada"),
    ]  # fmt: skip
    assert _rows(stack, "SELECT toFloat64(total_cost), observation_count, flags FROM traces") == [
        (pytest.approx(0.3), 4, ["archive_expired"])
    ]
