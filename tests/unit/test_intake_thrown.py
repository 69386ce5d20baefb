"""Records of a trace that was thrown out of memory, because our own code failed on it (stream/spoilt.py)."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest

from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.fold.state import TraceState
from pipeline.stream import intake as intake_module
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import ChunkCount
from pipeline.stream.intake import Decoded, Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part
from pipeline.stream.partition import Limits, Partition, Thrown
from pipeline.stream.stages import Stages

TP = TopicPartition("events", 0)


class Worker:
    """An intake, a partition and a batch."""

    def __init__(self) -> None:
        self.partition = Partition(TP, Limits(2, 60, 1000, 100, 10**6, 100, 10**6))
        self.batch, self.count = Batch(), ChunkCount()

    def fold(self, decoded: Sequence[Decoded]) -> list[Decoded]:
        return Intake(2**20, Stages(None)).fold(self.batch, self.partition, list(decoded), self.count)


def record(offset: int) -> Record:
    return Record("events", 0, offset, Micros(60_000_000), b"p/a", b"x" * 100, ())


def decoded(offset: int) -> Decoded:
    return record(offset), [Event("p", "a", Kind.TRACE, "a", f"e{offset}", Micros(1), {})]


def test_a_record_without_an_event_waits_for_no_trace() -> None:
    worker, part = Worker(), Part()
    worker.partition.thrown[b"p/a"] = Thrown(("p", "a"), part, part, Micros(1))
    waiting = worker.fold([(record(1), []), decoded(2)])
    assert [each[0].offset for each in waiting] == [2]
    assert [outcome for *_, outcome in worker.count.outcomes] == ["ignored"]


@pytest.mark.parametrize(
    ("owner", "name"), [(TraceState, "fold"), (intake_module, "event_identity"), (intake_module, "_archived")]
)
def test_what_a_trace_weighed_is_given_back_wherever_our_code_fails(owner: Any, name: str) -> None:
    worker, original = Worker(), getattr(owner, name)

    def failing(*arguments: Any) -> Any:
        if not worker.batch.dead:  # what is archived of a dead letter needs it, too
            raise RuntimeError("a mistake of ours")
        return original(*arguments)

    worker.fold([decoded(1)])
    with patch.object(owner, name, failing):
        worker.fold([decoded(3)])
    assert (list(worker.partition.thrown), worker.partition.size) == ([b"p/a"], 0)


def test_all_records_of_a_trace_that_fail_by_themselves_are_put_aside_at_once() -> None:
    """One flush and one question to the archive for each of thousands would hold up the whole partition."""
    worker, fold = Worker(), TraceState.fold

    def failing(state: TraceState, event: Event, *rest: Any) -> None:
        fold(state, event, *rest)
        if event.event_id in ("e2", "e3", "e5"):
            raise RuntimeError("a mistake of ours")

    with patch.object(TraceState, "fold", failing):
        waiting = worker.fold([decoded(offset) for offset in range(1, 7)])
    assert [each[0].offset for each in waiting] == [4, 6]
    assert [letter.record.offset for letter in worker.batch.dead] == [2, 3, 5]
    assert [(row.offset, row.first_seen) for row in worker.batch.archive] == [(n, 60_000_000) for n in (1, 2, 3, 5)]
    assert (worker.count.new, worker.batch.events) == (4, 4)
