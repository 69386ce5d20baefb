"""What a flush collects: news, however long it waited; and no quiet trace that has none."""

from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Event, Fields, Kind, Micros
from pipeline.fold.state import TraceState
from pipeline.stream.batch import Batch
from pipeline.stream.flush import Flush
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.stages import Stages

KEY = b"p/t"
AT = Micros(1_700_000_000_000_000)


def _flush() -> Flush:
    async def unused(_: Batch) -> None:
        raise AssertionError("collecting commits nothing")

    return Flush(None, None, unused, ObservationPricer, lambda _: (), Stages(None))  # type: ignore[arg-type]


def _open_trace() -> tuple[Partition, TraceState]:
    """A trace with an observation that has not ended, quiet at once."""
    partition = Partition(TopicPartition("events", 0), Limits(quiet=0.0, idle=3600.0, traces=10, bytes=10**9))
    state = partition.create(KEY, "p", "t", AT)
    _add(state, Kind.OBSERVATION, "o", Fields(name="step"))
    partition.touched(KEY)
    return partition, state


def _add(state: TraceState, kind: Kind, entity: str, fields: Fields) -> None:
    id_ = f"e-{entity}"
    state.add(Event("p", "t", kind, entity, id_, AT, fields), id_.encode().ljust(16), len(id_), 10)


def test_a_trace_event_that_waited_until_its_trace_was_quiet_is_written() -> None:
    flush = _flush()
    partition, state = _open_trace()
    flush.collect(Batch(dirty={KEY: (partition, state)}), [partition])
    _add(state, Kind.TRACE, "t", Fields(output="done"))
    partition.touched(KEY)
    rows = flush.collect(Batch(dirty={KEY: (partition, state)}), [partition])
    assert [(row.output, row.settled) for row in rows.traces] == [("done", False)]


def test_a_quiet_open_trace_without_news_is_not_written_again() -> None:
    flush = _flush()
    partition, state = _open_trace()
    flush.collect(Batch(dirty={KEY: (partition, state)}), [partition])
    partition.touched(KEY)
    batch = Batch()
    rows = flush.collect(batch, [partition])
    assert KEY in batch.dirty
    assert (rows.traces, rows.observations) == ([], [])
