"""A trace that our own code fails on is put aside, alone: no event may end a worker, and none is lost.

Problem: a mistake in the fold, in pricing or in making rows shows with some event of some trace. It would show again
with every delivery, so all traces of the partition would wait for one. And an exception in the middle of a change
leaves the trace's state half changed.
Rule: whatever fails, the state is thrown out of memory at once and never used again.
1 Folding a record failed: its events are archived like any other's, and it becomes a dead letter (`fold_failed`). All
  else of the trace is read back once the flush under way has archived it (stream/lane.py), and its rows are written.
  Until then its records wait, but those that fail on an empty state, too: they take the same way at once.
2 Building a trace's rows failed: what is archived stays so, and the first event of the trace becomes a dead letter that
  stands for all of it. The trace is tried again with its next event.
3 Reading it back failed: the records that asked for it go the way of 1.
Nothing is committed before all of that is durable. A version that mends the mistake makes the rows by `spanfold
replay`, or by `spanfold dlq replay --reason fold_failed`.
How it fails: where most fails, the guard stops the worker (stream/guard.py): a bad deploy.
"""

from collections.abc import Sequence
from traceback import format_tb
from typing import NamedTuple

import structlog

from pipeline.events.keys import event_identity, trace_hash
from pipeline.events.model import Event, Kind, Record
from pipeline.events.reasons import Reason
from pipeline.fold.state import TraceState
from pipeline.store.lookups import Entity, RawEvent, TraceKey
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.part import Part
from pipeline.stream.partition import Partition, Thrown
from pipeline.stream.refused import archived_record

log = structlog.get_logger(__name__)


class Failed(NamedTuple):
    """A trace whose rows could not be made. `events` were folded into it."""

    name: TraceKey
    stage: str  # build or rows
    detail: str
    events: int


def tell(error: Exception, stage: str, name: TraceKey, record: Record | None = None) -> None:
    """To the log, without the message: it may quote the event."""
    place = {} if record is None else {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    where = "".join(format_tb(error.__traceback__))
    log.error(
        "fold_failed", stage=stage, error=type(error).__name__, where=where, project=name[0], trace=name[1], **place
    )


def letter_of(record: Record, error: Exception, stage: str) -> DeadLetter:
    """For a record whose events are archived all the same."""
    return DeadLetter(record, Reason.FOLD_FAILED, repr(error), stage)


def decoder_failed(record: Record, error: Exception, stage: str) -> DeadLetter:
    """For a record that our own code failed on before anything was made of it, told of without its content."""
    where = "".join(format_tb(error.__traceback__))
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    log.error("decoder_failed", stage=stage, error=type(error).__name__, where=where, **place)
    return DeadLetter(record, Reason.DECODER_FAILED, repr(error), stage)


def throw_out(partition: Partition, key: bytes, weighed: int | None = None) -> Part | None:
    """Forget a trace whose state may be wrong; the archive answers for it. The part of the partition that it held.

    `weighed`: bytes that the partition counts for it, where that is not what the state says.
    """
    state = partition.traces.pop(key)
    partition.forget(key)
    partition.size -= state.size if weighed is None else weighed
    partition.known.add(trace_hash(state.project_id, state.trace_id))
    part, state.holder = state.holder, None
    state.dissolve()
    return part if isinstance(part, Part) else None


def throw_back(partition: Partition, key: bytes, part: Part, weighed: int) -> None:
    """Throw a trace out that comes back without the record that it failed on, after `part` was flushed."""
    state = partition.traces[key]
    name, first_seen = (state.project_id, state.trace_id), state.first_seen
    held = throw_out(partition, key, weighed)
    if held is None:
        held = part
        part.holders += 1
    partition.thrown[key] = Thrown(name, part, held, first_seen)


def fails_alone(record: Record, events: Sequence[Event]) -> Exception | None:
    """What the fold fails with on this record where nothing else is known of its trace; None where it does not."""
    state, value = TraceState(events[0].project_id, events[0].trace_id, record.timestamp), record.value or b""
    try:
        for event in events:
            state.add(event, event_identity(event.event_id, value), record.offset, 0)
    except Exception as error:
        return error
    return None


def came_back(partition: Partition, key: bytes, thrown: Thrown, part: Part) -> None:
    """It was read back: all its rows are due, and until they are durable it holds what it held.

    Where there is nothing of it in memory (reading it back failed, too), its dead letters stand for it; `part`, of the
    batch that is being filled, makes the next flush look at what may be committed.
    """
    state, now = partition.traces.get(key), partition.clock()
    partition.barred.pop(key, None)
    if state is None:
        thrown.held.release()
        return
    state.rewrite = True
    if state.holder is None:
        state.holder = thrown.held
        partition.changed(key, state, part, now)
    else:
        thrown.held.release()
    if not partition.is_settled(key):
        partition.touched(key, now)


def failed_entities(failed: Sequence[Failed]) -> list[Entity]:
    """What the archive is asked for: of a trace that has no event of its own it gives the first."""
    return [Entity(*each.name, Kind.TRACE.value, each.name[1]) for each in failed]


def fold_failures(dead: Sequence[DeadLetter], failed: Sequence[Failed]) -> int:
    """Events that our own code failed on: records by themselves, and all that is known of a trace that has no rows."""
    return sum(letter.reason is Reason.FOLD_FAILED for letter in dead) + sum(each.events for each in failed)


def failed_letters(failed: Sequence[Failed], archived: Sequence[RawEvent]) -> list[DeadLetter]:
    """A dead letter for each trace whose rows could not be made, by the first of its events that is given."""
    first: dict[TraceKey, RawEvent] = {}
    for event in archived:
        first.setdefault((event.project_id, event.trace_id), event)
    return [
        DeadLetter(archived_record(first[each.name]), Reason.FOLD_FAILED, each.detail, each.stage)
        for each in failed
        if each.name in first
    ]
