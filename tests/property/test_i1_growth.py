"""I1 and I3 where the topic grows: keys change their homes, producers learn of it late, workers die on the way.

The machine of test_i1_worker.py with one rule more. As in Kafka, a new partition is nobody's until everybody has given
everything back; who does not in time is given up. Records lie in old homes then, unread or read and not committed,
and the archive has events of them that are in no row. No audit runs.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from pipeline.events.canonical import to_canonical_json
from tests.fixtures.examples import examples
from tests.oracle import nasty
from tests.oracle.event_set import Known
from tests.oracle.fold import views
from tests.oracle.folded import PRICE
from tests.oracle.table import difference
from tests.property.test_i1_worker import EVENTS, STEP, Cluster

MOST = 6  # partitions
NOBODY = object()  # owns partitions that no rebalance has given away yet
ROUNDS = 12  # a record is moved, and folded; and all settle


class GrowingCluster(Cluster):
    """Whoever produces may know as many partitions as there are, or were at any time."""

    @rule(events=EVENTS, known=st.integers(0, MOST))
    def produce_as_knowing(self, events: list[Known], known: int) -> None:
        counts = range(2, len(self.log.records) + 1)
        for each in events:
            event = nasty.as_sent(each.event)
            self.log.append(event, to_canonical_json(event), counts[known % len(counts)])

    @rule(number=st.integers(2, MOST - 1), who=st.integers(0, 1), count=st.integers(1, 12), flush=st.booleans())
    def work_on_new(self, number: int, who: int, count: int, flush: bool) -> None:
        self.assign(who)
        worker = self._worker(who)
        if number in worker.partitions:
            worker.deliver(number, count)
        if flush:
            worker.flush()

    @rule(more=st.integers(1, 2))
    def grow(self, more: int) -> None:
        """Producers may know; workers do not yet."""
        more = min(more, MOST - len(self.log.records))
        self.log.grow(more, NOBODY)
        self.checked += [0] * more

    @rule(steps=st.tuples(st.none() | STEP, st.none() | STEP), dies=st.none() | st.integers(0, 1))
    def rebalance(self, steps: tuple[int | None, int | None], dies: int | None) -> None:
        """Everybody gives everything back, at the deadline at the latest, or dies; then all know how many there are."""
        for who, step in enumerate(steps):
            if worker := self.workers[who]:
                if who == dies:
                    worker.die()
                    self.workers[who] = None
                else:
                    worker.revoke(step)
        for write in self.store.late:  # what arrives after others have begun is the audit's
            self.store.apply(write)
        self.store.late.clear()
        self.log.owners = [None if owner is NOBODY else owner for owner in self.log.owners]
        self.log.count = len(self.log.records)

    def steal(self, who: int) -> None:  # type: ignore[override]
        """Not here: a worker that has lost its partitions without knowing goes by the old number."""

    def _check_committed(self, number: int, offset: int) -> None:
        """The ledger covers the offsets, and what is below them is archived, or lies in another partition, too."""
        ranges = [each for each in self.store.ranges if each.partition == number]
        covered = {offset for each in ranges for offset in range(each.first, each.last + 1)}
        assert covered >= set(range(offset)), "the ledger has a gap"
        elsewhere = {each.identity for n, some in enumerate(self.log.known) if n != number for each in some}
        for each in self.log.known[number][:offset]:
            trace = each.event.project_id, each.event.trace_id
            archived = {row.identity for row in self.store.archive.get(trace, ())}
            assert each.identity in archived | elsewhere

    def _finish(self) -> None:
        self.read(slowly=False)
        self.rebalance((None, None), None)
        for _ in range(ROUNDS):
            self.assign(0)
            for worker in filter(None, self.workers):
                for number in worker.partitions:
                    worker.deliver(number, 2**20)
                worker.flush()
            self.clock.now += 21
        self.what_is_committed_is_in_the_store()
        self._check_end()

    def _check_end(self) -> None:
        expected = views([each for some in self.log.known for each in some], PRICE)
        assert difference(self.store.table.views(), expected) == []
        assert self.log.committed == [len(records) for records in self.log.records]
        assert all(self.store.is_settled(trace) for trace in expected["traces"]), "all have been silent for long"  # type: ignore[arg-type]


GrowingCluster.TestCase.settings = settings(max_examples=examples(1) // 4, stateful_step_count=25)
TestI1WorkersOfATopicThatGrows: Any = GrowingCluster.TestCase
