"""A test of the tests: break each of the rules that nothing is lost by, and see that the checks of this folder find it.

Each mutation is one that a hurried hand could make, put into the real code for as long as its check runs; one that no
check finds is a hole in the tests. What finds them is the stateful test of test_i1_worker.py, without shrinking and by
the same examples each time, or a smaller check of the same folder.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pipeline.fold.state import Seen, TraceState
from pipeline.store import tables
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream import rows
from pipeline.stream.flush import Flush
from pipeline.stream.offsets import PrefixTracker
from pipeline.stream.part import Parts
from pipeline.stream.partition import Partition
from pipeline.stream.pipeline import Pipeline
from tests.property import test_i1_worker, test_prefix_commit

Mutation = Callable[[], AbstractContextManager[Any]]
Check = Callable[[], None]
TRIES = 200  # each is found by the fourth part of it

_write, _flush, _add = Flush.write, Pipeline.flush, TraceState.add


def commit_before_insert() -> AbstractContextManager[Any]:
    """The flush commits its chunks first."""

    async def write(self: Flush, batch: Any, collected: Any, done: Any) -> None:
        await self._commit([chunk for part in batch.parts.values() for chunk, _ in part.chunks])
        await _write(self, batch, collected, done)

    return patch.object(Flush, "write", write)


def commit_without_waiting_for_rows() -> AbstractContextManager[Any]:
    """A part counts as done though traces with unwritten rows hold it."""

    def done(self: Parts) -> Any:
        ready = [part for part in self._parts if part.flushed]
        self._parts = [part for part in self._parts if not part.flushed]
        return ready

    return patch.object(Parts, "done", done)


def archive_last() -> AbstractContextManager[Any]:
    """The archive is written behind the rows and the ranges."""

    async def write(self: Flush, batch: Any, collected: Any, done: Any) -> None:
        archive, batch.archive = batch.archive, []
        await _write(self, batch, collected, done)
        await self._store.insert(tables.RAW_EVENTS, archive, "late")

    return patch.object(Flush, "write", write)


def ranges_not_written() -> AbstractContextManager[Any]:
    """The ledger hears nothing of the chunks."""
    return patch("pipeline.stream.flush._ranges", lambda *_: [])


def duplicates_not_known() -> AbstractContextManager[Any]:
    """An event that came before is folded again."""

    def add(self: TraceState, event: Any, identity: bytes, offset: int, size: int, now: Any = -1) -> Seen:
        if _add(self, event, identity, offset, size, now) is not Seen.NEW:
            self.base_count += 1
            self.fold(event, identity, size, now)
        return Seen.NEW

    return patch.object(TraceState, "add", add)


def redelivery_taken_for_duplicate() -> AbstractContextManager[Any]:
    """What is in the archive counts as done."""

    def add(self: TraceState, *args: Any) -> Seen:
        rewrite = self.rewrite
        seen = _add(self, *args)
        if seen is Seen.REDELIVERED:
            self.rewrite = rewrite
        return Seen.DUPLICATE if seen is Seen.REDELIVERED else seen

    return patch.object(TraceState, "add", add)


def version_not_counted() -> AbstractContextManager[Any]:
    """All rows of an epoch have one version."""
    return patch.object(rows, "row_version", lambda count, epoch: epoch * EPOCH_STEP + 2)


def nothing_read_back() -> AbstractContextManager[Any]:
    """A trace that left memory begins anew."""
    return patch.object(Partition, "perhaps_archived", lambda self, project_id, trace_id: False)


def tombstones_ignored() -> AbstractContextManager[Any]:
    """What was deleted is shown."""
    return patch.object(TraceState, "_hide", lambda self, until: None)


def offered_beyond_an_unfinished_chunk() -> AbstractContextManager[Any]:
    """The tracker offers the end of the newest chunk that is done."""

    def finish(self: PrefixTracker, last: int) -> None:
        if self._chunks.pop(last, None) is not None:
            self._committable = max(self._committable or 0, last + 1)

    return patch.object(PrefixTracker, "finish", finish)


def no_flush_when_revoked() -> AbstractContextManager[Any]:
    """Partitions go with what is unwritten."""

    async def flush(self: Pipeline, *, everything: bool = False) -> None:
        if not everything:
            await _flush(self)

    return patch.object(Pipeline, "flush", flush)


def the_cluster() -> None:
    """Workers, a log and a store, and whatever may happen to them (test_i1_worker.py)."""
    tries = settings(
        max_examples=TRIES, stateful_step_count=40, derandomize=True, database=None, phases=[Phase.generate],
        report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    run_state_machine_as_test(test_i1_worker.Cluster, settings=tries)


FOUND_BY: dict[Mutation, Check] = {
    commit_before_insert: the_cluster,
    commit_without_waiting_for_rows: the_cluster,
    archive_last: the_cluster,
    ranges_not_written: the_cluster,
    duplicates_not_known: the_cluster,
    redelivery_taken_for_duplicate: the_cluster,
    version_not_counted: the_cluster,
    nothing_read_back: the_cluster,
    tombstones_ignored: the_cluster,
    offered_beyond_an_unfinished_chunk: test_prefix_commit.test_i2_never_offers_an_offset_above_an_unfinished_chunk,
    no_flush_when_revoked: test_i1_worker.test_what_is_revoked_in_order_is_committed_before,
}


@pytest.mark.parametrize("mutation", FOUND_BY, ids=lambda mutation: mutation.__name__)
def test_the_checks_find(mutation: Mutation) -> None:
    with mutation(), pytest.raises(AssertionError):
        FOUND_BY[mutation]()
