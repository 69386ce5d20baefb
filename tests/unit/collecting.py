"""A worker's part that collects: a partition, the traces in it, and a clock."""

from collections.abc import Sequence
from typing import Any

from pipeline.cost.price import ObservationPricer
from pipeline.evaluate.requests import Rule
from pipeline.events.model import Event, Kind, Micros
from pipeline.fold.state import Seen, TraceState
from pipeline.stream.batch import Batch
from pipeline.stream.collect import Collected, Collector, Waits
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import SECOND, Limits, Partition
from pipeline.stream.stages import Stages

KEY = b"p/t"
TP = TopicPartition("events", 0)
AT = Micros(1_700_000_000_000_000)
FIRST, HOLD, REST, QUIET, IDLE = 0.25, 1.0, 5.0, 2.0, 60.0  # seconds
A_MOMENT = FIRST + 0.05
RULE = Rule("r", "quality", "length", {}, 1.0)


class Worker:
    """A partition, a collector and a clock. `say` folds events in as intake does, `collect` looks at what is due."""

    def __init__(self, rules: Sequence[Rule] = (), **waits: float) -> None:
        self.now = 1000.0
        limits = Limits(QUIET, IDLE, 10_000.0, 100, 10**9, 100)
        self.partition = Partition(TP, limits, lambda: Micros(int(self.now * SECOND)))
        given = {"first": FIRST, "hold": HOLD, "rest": REST} | waits
        self.collector = Collector(lambda: ObservationPricer(), lambda _: rules, Waits(**given), Stages(None))
        self.batch = Batch()
        self.count = 0

    def say(self, kind: Kind, entity: str, **fields: Any) -> TraceState:
        partition, now = self.partition, self.partition.clock()
        state = partition.traces.get(KEY) or partition.create(KEY, "p", "t", AT)
        self.count += 1
        event = Event("p", "t", kind, entity, f"e{self.count}", AT, fields)  # type: ignore[arg-type]
        assert state.add(event, b"%016d" % self.count, self.count, 10, now) is Seen.NEW
        partition.changed(KEY, state, self.batch.part(partition), now)
        if kind is not Kind.SCORE or not partition.is_settled(KEY):
            partition.touched(KEY, now)
        return state

    def span(self, id_: str, **fields: Any) -> TraceState:
        return self.say(Kind.OBSERVATION, id_, **fields)

    def collect(self, after: float = 0.0, *, everything: bool = False) -> Collected:
        """What is collected when so many seconds have passed; each time into another batch."""
        self.now += after
        self.requests = self.batch.requests
        batch, self.batch = self.batch, Batch()
        collected = self.collector.collect(batch, [self.partition], everything=everything)
        self.requests = batch.requests
        return collected

    def seen(self, after: float = 0.0) -> tuple[list[str], int]:
        """Observations that are written when so many seconds have passed, and how many trace rows."""
        rows = self.collect(after).rows
        return [row.observation_id for row in rows.observations], len(rows.traces)


def written(*open_: str) -> Worker:
    """A lively trace whose rows are all in the store."""
    worker = Worker()
    worker.say(Kind.TRACE, "t", name="n")
    for id_ in open_:
        worker.span(id_)
    batch = worker.batch
    for part in worker.collect(everything=True).released:
        part.release()
    batch.part(worker.partition).flushed = True
    assert len(worker.partition.parts.done()) == 1
    return worker
