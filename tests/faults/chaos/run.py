"""Runs one scenario on a running stack: load, fault, recovery, end of the load, judgement."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tests.faults.chaos.bed import WORKERS, Bed
from tests.faults.chaos.judge import Verdict, end_offsets, judge, wait_until_done
from tests.faults.chaos.load import Load
from tests.faults.chaos.recovery import Goal, wait_until_recovered
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


class Run:
    """A scenario on a stack. `number` tells its events from those of other runs."""

    def __init__(self, bed: Bed, scenario: Scenario, number: int, pace: Pace) -> None:
        self.began = asyncio.run(end_offsets(bed.settings))  # where the log ended
        self.since = datetime.now(UTC)
        self.load = Load(bed.settings, bed.http, bed.key, number, pace.events_per_second)
        self._bed, self._scenario, self._pace = bed, scenario, pace

    def all(self, tell: Tell) -> Result:
        """Do it."""
        bed, load, scenario = self._bed, self.load, self._scenario
        tell(f"{scenario.name}: {scenario.fault}")
        self._begin()
        ended = {name: kept.ended for name, kept in bed.kept.items()}
        begin, before = time.monotonic(), load.begun()
        went_wrong = self._steps()
        end = time.monotonic()
        since, before = (begin, before) if scenario.since is Since.BEGIN else (end, load.begun())
        goal = Goal(since, before, self._pace.fresh, RECOVERED_WITHIN, scenario.scored)
        recovery, failure = self._recover(goal)
        failure = went_wrong or failure
        tell(f"  {failure or f'recovered after {recovery:.1f} s'}, the fault lasted {end - begin:.1f} s")
        ended = {name: kept.ended - ended.get(name, 0) for name, kept in bed.kept.items()}
        result = Result(
            scenario.name, scenario.fault, scenario.since.value, end - begin, recovery, load.sent, load.tried_again,
            {name: count for name, count in ended.items() if count}, judge(bed, load, self.began, self.since), failure,
        )  # fmt: skip
        tell(f"  {'good' if result.good else 'BAD'}: {result.verdict} {result.ended or ''}")
        return result

    def _begin(self) -> None:
        """The load runs, workers have something to do."""
        if not self._scenario.backlog:
            self.load.start()
            time.sleep(BEFORE)
            return
        self._bed.rest()
        produce(self._bed.settings, self.load.backlog(self._scenario.backlog))
        self.load.start()
        self._bed.up(*WORKERS)

    def _steps(self) -> str:
        """Do them; what went wrong, if anything did. No fault outlasts them."""
        try:
            for step in self._scenario.steps:
                step(self._bed)
        except AssertionError as error:
            return str(error)
        finally:
            self._bed.mend()
        return ""

    def _recover(self, goal: Goal) -> tuple[float | None, str]:
        """(seconds, what went wrong); the load has ended and all of it came to its end."""
        recovery, failure = None, ""
        try:
            recovery = wait_until_recovered(self._bed, self.load, goal)
        except AssertionError as error:
            failure = str(error)
        self.load.finish()
        try:
            wait_until_done(self._bed, self.load)
        except AssertionError as error:
            failure = failure or str(error)
        return recovery, failure
