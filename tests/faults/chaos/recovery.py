"""Seconds to recover: until all that was sent before is visible, and what is sent now is visible within two seconds.

Measured from the end of a fault; from its beginning where it is a death, whose end is the recovery. What counts is
what an analyst sees: rows in the views, a trace's row once it was made from all of the trace's events.
"""

import time
from collections.abc import Set
from dataclasses import dataclass

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from tests.faults.chaos.bed import Bed
from tests.faults.chaos.load import Load, probe_number, trace_number

LOOK_EVERY = 0.2  # seconds
EVENTS_OF = "toUInt64(intDiv(row_version % pow(2, 40), 2))"


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to be there again."""

    since: float  # a moment (monotonic)
    before: Set[int]  # the traces begun before it, by their numbers
    fresh: float  # seconds that the oldest invisible probe may be old
    within: float  # seconds
    scored: bool = False  # those traces have their evaluation, too


def wait_until_recovered(bed: Bed, load: Load, goal: Goal) -> float:
    """Seconds from `since`. Raises AssertionError after `within` seconds."""
    missing = "the store does not answer"
    while True:
        now = time.monotonic()
        assert now - goal.since < goal.within, f"not recovered within {goal.within:g} s: {missing}"
        try:
            if not (missing := _missing(bed, load, goal)):
                return now - goal.since
        except (ClickHouseError, HTTPError, OSError):
            pass  # the store is not back yet, so nothing has recovered
        time.sleep(LOOK_EVERY)


def _missing(bed: Bed, load: Load, goal: Goal) -> str:
    """What keeps it from being recovered; empty when nothing does."""
    now = time.monotonic()
    visible = _visible_probes(bed, load)
    late = [
        number for number, (sent, _) in list(load.probes.items()) if sent < now - goal.fresh and number not in visible
    ]
    if late:
        return f"{len(late)} probes are not visible, the first after {now - load.probes[late[0]][0]:.1f} s"
    told = _told(bed, load)
    incomplete = [number for number in goal.before if told.get(number, 0) < len(load.records[number])]
    if incomplete:
        return f"{len(incomplete)} traces are not complete"
    unscored = len(goal.before - _scored(bed, load)) if goal.scored else 0
    return f"{unscored} traces are not scored" if unscored else ""


def _visible_probes(bed: Bed, load: Load) -> set[int]:
    sql = f"SELECT trace_id FROM observations WHERE startsWith(trace_id, '{load.prefix}') AND name = 'probe'"
    numbers = (probe_number(str(id_)) for (id_,) in bed.stack.client.query(sql).result_rows)
    return {number for number in numbers if number is not None}


def _told(bed: Bed, load: Load) -> dict[int, int]:
    """Trace number -> events that its row was made from."""
    sql = f"SELECT trace_id, {EVENTS_OF} FROM traces WHERE startsWith(trace_id, '{load.prefix}')"
    return {trace_number(str(id_)): int(events) for id_, events in bed.stack.client.query(sql).result_rows}


def _scored(bed: Bed, load: Load) -> set[int]:
    """Numbers of the traces that the evaluator has scored."""
    sql = f"SELECT trace_id FROM scores WHERE startsWith(trace_id, '{load.prefix}') AND source = 'EVAL'"
    return {trace_number(str(id_)) for (id_,) in bed.stack.client.query(sql).result_rows}
