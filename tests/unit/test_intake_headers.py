"""Headers of records are anybody's: what they say is taken, what they lack is not missed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.model import Event, Kind, Micros, Record
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk, ChunkCount
from pipeline.stream.intake import Intake
from pipeline.stream.moves import moved, weight
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.stages import Stages

TP = TopicPartition("events", 0)
NAMES = [headers.CONTENT_TYPE, headers.RECEIVER, headers.RECEIVED_AT, headers.PROJECT, headers.MOVED]


def folded(*named: tuple[str, bytes | None]) -> Batch:
    """A batch with one record that has these headers."""
    value = to_canonical_json(Event("p", "t", Kind.TRACE, "t", "e", Micros(1), {"name": "n"}))
    record = Record("events", 0, 1, Micros(7), b"p/t", value, named)  # type: ignore[arg-type]
    intake, batch = Intake(10**6, Stages(None)), Batch()
    partition = Partition(TP, Limits(2, 60, 1000, 100, 10**6, 100, 10**6))
    taken = intake.decode(Chunk(TP, [record], lambda: None))
    intake.fold(batch, partition, taken.decoded, ChunkCount())
    assert (moved(record) >= 0, weight(record) >= len(value)) == (True, True)
    return batch


@pytest.mark.parametrize("name", NAMES)
def test_a_header_without_a_value_says_nothing(name: str) -> None:
    [row] = folded((name, None)).archive
    assert (row.content_type, row.receiver, row.received_at) == ("", "kafka", 7)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.binary(max_size=20)), max_size=6))
def test_no_header_stops_the_fold(named: list[tuple[str, bytes | None]]) -> None:
    batch = folded(*named)
    assert len(batch.archive) + len(batch.dead) <= 1
