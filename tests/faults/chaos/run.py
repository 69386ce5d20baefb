"""Runs one scenario on a running stack: load, fault, recovery, end of the load, judgement."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.chaos.bed import WORKERS, Bed
from tests.faults.chaos.judge import Verdict, end_offsets, judge, wait_until_done
from tests.faults.chaos.load import Load
from tests.faults.chaos.recovery import wait_until_recovered
from tests.faults.chaos.scenarios import Scenario, Since
from tests.fixtures.captures import produce

BEFORE = 3.0  # seconds of undisturbed load
RECOVERED_WITHIN = 300.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How much load, and what counts as recovered."""

    events_per_second: int = 400
    fresh: float = 2.0  # seconds


@dataclass(slots=True)
class Result:
    """A line of the table. `recovery` is None, `failure` says why, where it was not recovered from."""

    scenario: str
    fault: str
    since: str
    seconds: float  # that the fault lasted
    recovery: float | None
    sent: int
    tried_again: int
    ended: dict[str, int]  # processes that ended though nobody ended them
    verdict: Verdict
    failure: str = ""

    @property
    def good(self) -> bool:
        """True where nothing was lost, counted twice or changed, and all came back."""
        return self.verdict.good and not self.failure

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def run_scenario(bed: Bed, scenario: Scenario, number: int, pace: Pace, tell: Tell) -> Result:
    """Do it. `number` tells this run's events from those of other runs."""
    began = asyncio.run(end_offsets(bed.settings))
    load = Load(bed.settings, bed.http, bed.key, number, pace.events_per_second)
    tell(f"{scenario.name}: {scenario.fault}")
    if scenario.backlog:
        bed.rest()
        produce(bed.settings, load.backlog(scenario.backlog))
        load.start()
        bed.up(*WORKERS)
    else:
        load.start()
        time.sleep(BEFORE)
    ended = {name: kept.ended for name, kept in bed.kept.items()}
    begin, before = time.monotonic(), load.begun()
    for step in scenario.steps:
        step(bed)
    end = time.monotonic()
    since, before = (begin, before) if scenario.since is Since.BEGIN else (end, load.begun())
    recovery, failure = None, ""
    try:
        recovery = wait_until_recovered(bed, load, since, before, pace.fresh, RECOVERED_WITHIN)
        tell(f"  recovered after {recovery:.1f} s")
    except AssertionError as error:
        failure = str(error)
    finally:
        load.finish()
    try:
        wait_until_done(bed, load)
    except AssertionError as error:
        failure = failure or str(error)
    ended = {name: kept.ended - ended.get(name, 0) for name, kept in bed.kept.items()}
    ended = {name: count for name, count in ended.items() if count}
    verdict = judge(bed, load, began)
    result = Result(
        scenario.name, scenario.fault, scenario.since.value, end - begin, recovery, load.sent, load.tried_again, ended,
        verdict, failure,
    )  # fmt: skip
    tell(f"  {'good' if result.good else 'BAD'}: {verdict} {failure}")
    return result
