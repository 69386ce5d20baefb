"""The short form of `make chaos`: nearly every fault within a minute, one upon the other, under load; nothing is lost.

I2, I3 on the real stack: workers killed amid a backlog, joining, leaving in order and without a word, one that stands
still for longer than its session and goes on; store, broker, front door and evaluator killed; inserts cut in the
middle, answers lost, a full disk, a store that hangs. Rows are those that the oracle makes of what was sent.
"""

from pathlib import Path

import pytest

from tests.faults.chaos.bed import running_bed
from tests.faults.chaos.judge import judge
from tests.faults.chaos.run import Pace, Run
from tests.faults.chaos.scenarios import IN_SHORT

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

        prefix = f"startsWith(trace_id, '{run.load.prefix}')"
        for table in ("raw_events", "scores_rows"):  # the judge is judged
            bed.stack.client.command(f"DELETE FROM {table} WHERE {prefix} AND trace_id LIKE '%0'")
        verdict = judge(bed, run.load, run.began)
        assert verdict.lost
        assert verdict.ledger
