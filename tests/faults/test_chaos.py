"""The short form of `make chaos`: nearly every fault within a minute, one upon the other, under load; nothing is lost.

I2, I3 on the real stack: workers killed amid a backlog, joining, leaving in order and without a word, one that stands
still for longer than its session and goes on; store, broker, front door and evaluator killed; inserts cut in the
middle, answers lost, a full disk, a store that hangs. Rows are those that the oracle makes of what was sent.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.audit.diagnose import Divergence
from pipeline.ops.ledger.balance import Kind as LedgerKind
from tests.faults.chaos.bed import running_bed
from tests.faults.chaos.judge import judge
from tests.faults.chaos.run import Pace, Run
from tests.faults.chaos.scenarios import IN_SHORT
from tests.fixtures.worker import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
PACE = Pace(events_per_second=200, fresh=10.0)


def test_nothing_is_lost_or_counted_twice_whatever_happens(tmp_path: Path) -> None:
    with running_bed(tmp_path, settle_quiet=0.5) as bed:
        bed.up("ingest", "evaluator")
        run = Run(bed, IN_SHORT, 1, PACE)
        result = run.all(print)
        assert result.good, result
        assert not result.ended, "a process ended by itself; workers wait for the store, they do not restart"
        assert result.verdict.records > result.verdict.events > 10_000

        for take in TAKEN.values():  # the judge is judged
            take(bed.stack)
        verdict = judge(bed, run.load, run.began, run.since)
        assert verdict.lost == 2, verdict  # the event and the row
        assert {kind for kind in KINDS for line in verdict.ledger if kind in line} >= TAKEN.keys(), verdict.ledger


def an_offset_range(stack: Stack) -> None:
    """The greatest chunk of the first partition. The audit judges no trace in it, so all else is taken elsewhere."""
    sql = "SELECT first FROM offset_ranges WHERE partition = 0 ORDER BY records DESC, first LIMIT 1"
    first = stack.count(sql)
    stack.client.command(f"DELETE FROM offset_ranges WHERE partition = 0 AND first = {first}")


def an_edge_count(stack: Stack) -> None:
    """A publication of a front door that has told more since."""
    stack.client.command(
        "DELETE FROM edge_counts WHERE (instance, number) IN"
        " (SELECT instance, max(number) - 1 FROM edge_counts GROUP BY instance HAVING max(number) > 1 LIMIT 1)"
    )


def a_column(stack: Stack) -> None:
    """One row says something else, under the same version."""
    stack.client.command(
        "INSERT INTO observations_rows SELECT * REPLACE('another' AS name) FROM observations_rows FINAL"
        f" WHERE {OF_THE_FIRST} LIMIT 1"
    )


def an_event(stack: Stack) -> None:
    """Out of the archive, of another trace."""
    chosen = f"SELECT max(event_id) FROM raw_events WHERE kind = 'observation' AND partition = 1 AND NOT {OF_THE_FIRST}"
    stack.client.command(f"DELETE FROM raw_events WHERE event_id = ({chosen})")


def a_row(stack: Stack) -> None:
    """Of a score that a client sent."""
    chosen = f"SELECT min(score_id) FROM scores_rows WHERE source != 'EVAL' AND {ELSEWHERE} AND NOT {OF_THE_FIRST}"
    stack.client.command(f"DELETE FROM scores_rows WHERE score_id = ({chosen})")


ELSEWHERE = "trace_id IN (SELECT trace_id FROM raw_events WHERE partition = 1)"
OF_THE_FIRST = "trace_id = (SELECT min(trace_id) FROM raw_events WHERE partition = 1)"
TAKEN: dict[str, Callable[[Stack], None]] = {
    "uncovered": an_offset_range, "edge_untold": an_edge_count, "other_contents": a_column, "missing_rows": a_row,
    "not_archived": an_event,
}  # fmt: skip
KINDS = {*map(str, LedgerKind), *map(str, Divergence)}
