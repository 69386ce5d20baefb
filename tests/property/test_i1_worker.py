"""I1, I2, I3 for the worker's cache: whatever workers live through, the rows end up as the oracle says.

Two workers share a log and a store. Hypothesis decides what happens: events arrive and are delivered, batches are
flushed, held or cut off by a death at any step, time passes until traces settle and leave memory, partitions move with
and without the old owner knowing, inserts of the dead arrive late. Whenever offsets are committed, every row that the
events below them ask for must be in the store.
"""

import asyncio
import sys
from contextlib import ExitStack
from enum import Enum, auto
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.events.canonical import to_canonical_json
from pipeline.events.model import Kind, Micros
from pipeline.stream.outcomes import MINUTE
from tests.fixtures.examples import examples
from tests.oracle import nasty
from tests.oracle.durable import PARTITIONS, Log, Store, Trace
from tests.oracle.event_set import Known
from tests.oracle.fold import Views, views
from tests.oracle.folded import FEATURES, PRICE
from tests.oracle.loop import QuickLoop
from tests.oracle.table import difference
from tests.oracle.worker import CALLS, HOLD, IDLE, QUIET, Clock, Worker, in_memory

EVENTS = st.composite(lambda draw: draw(nasty.neighbours(FEATURES)))()
WHO = st.integers(0, 1)
PARTITION = st.integers(0, PARTITIONS - 1)
PAUSES = st.sampled_from([0.0, 0.0, HOLD + 0.1, QUIET + 0.1])  # until nothing is held, until a trace that ended settles
STEP = st.integers(0, CALLS - 1)
SLOWLY = 2_000  # turns of the loop: some flushes


class Then(Enum):
    """What follows when records were taken in."""

    NOTHING = auto()
    FLUSH = auto()
    DIE = auto()  # at a step of the flush
    HOLD = auto()  # the store does not answer at a step of the flush, and the worker goes on


class Cluster(RuleBasedStateMachine):
    """Two places for workers, a log, a store."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.log, self.store = Clock(), Log(), Store()
        self.loop = QuickLoop()
        self.patches = ExitStack()
        self.patches.enter_context(in_memory(self.clock))
        self.workers: list[Worker | None] = [None, None]
        self.checked = [0] * PARTITIONS
        self.answers: dict[tuple[Trace, int], Views] = {}
        self.shared = False  # two workers have had one partition at once

    @initialize(events=EVENTS)
    def begin(self, events: list[Known]) -> None:
        self.produce(events)
        self.assign(0)

    @rule(events=EVENTS)
    def produce(self, events: list[Known]) -> None:
        for each in events:
            event = nasty.as_sent(each.event)
            self.log.append(event, to_canonical_json(event))

    @rule(number=PARTITION, place=st.integers(0, 100))
    def send_again(self, number: int, place: int) -> None:
        """A producer repeats itself: the same bytes under another offset."""
        if self.log.records[number]:
            place %= len(self.log.records[number])
            value = self.log.records[number][place].value
            self.log.append(self.log.known[number][place].event, value or b"")

    def assign(self, who: int) -> None:
        """A worker takes what nobody owns."""
        free = {number for number, owner in enumerate(self.log.owners) if owner is None}
        if free:
            worker = self._worker(who)
            if worker.partitions & free:
                worker.revoke()  # it learns first that they were gone
                free |= {number for number, owner in enumerate(self.log.owners) if owner is None}
            worker.assign(free)

    @rule(slowly=st.sampled_from([True, True, False]))
    def read(self, slowly: bool) -> None:
        """The archive answers slowly from now on, so that other chunks are done before; or at once, as at first."""
        self.clock.reading = SLOWLY if slowly else 0
        for worker in filter(None, self.workers):
            worker.wait()

    @rule(
        who=WHO, number=PARTITION, count=st.integers(0, 12), seconds=PAUSES, then=st.sampled_from(list(Then)), step=STEP
    )
    def work(self, who: int, number: int, count: int, seconds: float, then: Then, step: int) -> None:
        """A worker takes records in, and after a while it maybe flushes."""
        self.assign(who)
        worker = self._worker(who)
        if count and number in worker.partitions:
            worker.deliver(number, count)
        self.clock.now += seconds
        if then is Then.FLUSH:
            worker.flush()
        elif then is Then.DIE and not worker.flush(die_at=step):
            self.workers[who] = None
        elif then is Then.HOLD and not worker.is_held:
            worker.begin_flush(step)

    @rule(seconds=st.sampled_from([0.3, HOLD, QUIET, IDLE]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds + 0.2

    @rule(who=WHO, step=st.none() | STEP)
    def revoke(self, who: int, step: int | None) -> None:
        """The partitions go in order, or at the deadline where the store does not answer at a step of the flush."""
        if worker := self.workers[who]:
            worker.revoke(step)

    @rule(who=WHO)
    def steal(self, who: int) -> None:
        """The other worker is taken for dead and is not: it loses its partitions without knowing."""
        taken = {number for number, owner in enumerate(self.log.owners) if owner is self.workers[1 - who]}
        taken -= self._worker(who).partitions  # of which it would have to be told first
        if self.workers[1 - who] is not None and taken:
            self.shared = True
            self._worker(who).assign(taken)

    @rule(who=WHO)
    def die(self, who: int) -> None:
        if worker := self.workers[who]:
            worker.die()
            self.workers[who] = None

    @precondition(lambda self: self.store.late)
    @rule(arrives=st.booleans())
    def late_insert(self, arrives: bool) -> None:
        """An insert of a dead worker was under way."""
        write = self.store.late.pop(0)
        if arrives:
            self.store.apply(write)

    @invariant()
    def what_is_committed_is_in_the_store(self) -> None:
        for number, offset in enumerate(self.log.committed):
            if offset != self.checked[number]:
                self._check_committed(number, offset)
                self.checked[number] = offset

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a rule has failed, and what follows from that is no news
                self._finish()
        finally:
            self.patches.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def _worker(self, who: int) -> Worker:
        worker = self.workers[who]
        if worker is None:
            worker = self.workers[who] = Worker(self.log, self.store, self.loop, self.clock)
        return worker

    def _check_committed(self, number: int, offset: int) -> None:
        """I2, I4: the ledger covers the offsets, and each row is right for a set that has all events below them."""
        ranges = [each for each in self.store.ranges if each.partition == number]
        covered = {offset for each in ranges for offset in range(each.first, each.last + 1)}
        assert covered >= set(range(offset)), "the ledger has a gap"
        whole = self.log.traces(number)
        for trace, below in self.log.traces(number, offset).items():
            for view, rows in self._answer(trace, below).items():
                for key in rows:
                    row = self.store.table.rows.get((view, key))
                    assert row is not None, f"{view} {key} is not in the store, but offset {offset} is committed"
                    told = whole[trace][: max(row.version // 2, len(below))]
                    should = self._answer(trace, told)[view].get(key)  # None where it was deleted meanwhile
                    shown = {} if row.is_deleted else {key: row.said}
                    assert difference({view: shown}, {view: {} if should is None else {key: should}}) == []

    def _answer(self, trace: Trace, events: list[Known]) -> Views:
        answer = self.answers.get((trace, len(events)))
        if answer is None:
            answer = self.answers[trace, len(events)] = views(events, PRICE)
        return answer

    def _finish(self) -> None:
        """Everything that is under way comes to its end."""
        self.read(slowly=False)
        for worker in filter(None, self.workers):
            worker.flush()
        for write in self.store.late:
            self.store.apply(write)
        self.assign(0)
        for worker in filter(None, self.workers):
            for number in worker.partitions:
                worker.deliver(number, 2**20)
        for _ in range(4):
            for worker in filter(None, self.workers):
                worker.flush()
            self.clock.now += IDLE + 1
        for worker in filter(None, self.workers):
            worker.flush()
        self.what_is_committed_is_in_the_store()
        self._check_end()

    def _check_end(self) -> None:
        known = [each for some in self.log.known for each in some]
        expected = views(known, PRICE)
        assert difference(self.store.table.views(), expected) == []
        assert self.log.committed == [len(records) for records in self.log.records]
        assert all(self.store.is_settled(trace) for trace in expected["traces"]), "all have been silent for long"  # type: ignore[arg-type]
        self._check_ledger()
        for number in range(PARTITIONS):
            for trace, first_seen in self.log.first_seen(number).items():
                row = self.store.table.rows.get(("traces", trace))
                assert row is None or row.first_seen == first_seen

    def _check_ledger(self) -> None:
        """I4: every record that was accepted has one outcome, under its project and minute, whatever came twice."""
        for number, records in enumerate(self.log.records):
            known, told = self.log.known[number], self.store.outcomes(number)
            assert told.keys() == set(range(len(records)))
            for offset, (record, each) in enumerate(zip(records, known, strict=True)):
                project, minute, outcome = told[offset]
                assert (project, minute) == (each.event.project_id, record.timestamp // MINUTE * MINUTE)
                assert outcome in ("stored", "duplicate")
            events = {(each.event.project_id, each.event.event_id, each.identity) for each in known}
            duplicates = sum(outcome == "duplicate" for _, _, outcome in told.values())
            assert duplicates <= len(records) - len(events) or self.shared


Cluster.TestCase.settings = settings(max_examples=examples(2), stateful_step_count=40)
TestI1WorkersThatShareALogAndAStore: Any = Cluster.TestCase


def test_what_is_revoked_in_order_is_committed_before() -> None:
    """The next owner has nothing to do again."""
    log, store, clock = Log(), Store(), Clock()
    loop = QuickLoop()
    for number in range(20):
        event = nasty.known(Kind.OBSERVATION, f"t{number}", "o", "e", Micros(nasty.AT), {"name": "open"}).event
        log.append(event, to_canonical_json(event))
    with in_memory(clock):
        worker = Worker(log, store, loop, clock)
        worker.assign(set(range(PARTITIONS)))
        for number in range(PARTITIONS):
            worker.deliver(number, 20)
        worker.revoke()
    loop.close()
    assert log.committed == [len(records) for records in log.records]
