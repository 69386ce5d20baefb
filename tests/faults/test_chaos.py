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
from tests.faults.chaos.account import own_account
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

        known: set[str] = set()
        for kind, take in TAKEN.items():  # the judge is judged
            take(bed.stack)
            account = own_account(bed.settings, run.since)
            new = {each for line in account for each in KINDS if each in line} - known
            assert kind in new, (kind, account)
            known |= new
        verdict = judge(bed, run.load, run.began, run.since)
        assert verdict.lost
        assert verdict.ledger


def an_offset_range(stack: Stack) -> None:
    """The newest chunk of a partition."""
    sql = "SELECT partition, first FROM offset_ranges ORDER BY records DESC, first DESC LIMIT 1"
    [(partition, first)] = stack.client.query(sql).result_rows
    stack.client.command(f"DELETE FROM offset_ranges WHERE partition = {partition} AND first = {first}")


def an_edge_count(stack: Stack) -> None:
    """A publication of a front door that has told more since."""
    stack.client.command(
        "DELETE FROM edge_counts WHERE (instance, number) IN"
        " (SELECT instance, max(number) - 1 FROM edge_counts GROUP BY instance HAVING max(number) > 1 LIMIT 1)"
    )


def a_column(stack: Stack) -> None:
    """One row says something else, under the same version."""
    stack.client.command(
        "INSERT INTO observations_rows SELECT * REPLACE('another' AS name) FROM observations_rows FINAL LIMIT 1"
    )


def an_event(stack: Stack) -> None:
    """Out of the archive."""
    stack.client.command("DELETE FROM raw_events WHERE event_id = (SELECT max(event_id) FROM raw_events)")


def a_row(stack: Stack) -> None:
    """Of a score."""
    stack.client.command("DELETE FROM scores_rows WHERE score_id = (SELECT max(score_id) FROM scores_rows)")


TAKEN: dict[str, Callable[[Stack], None]] = {
    "uncovered": an_offset_range, "edge_untold": an_edge_count, "other_contents": a_column, "missing_rows": a_row,
    "not_archived": an_event,
}  # fmt: skip
KINDS = {*map(str, LedgerKind), *map(str, Divergence)}
