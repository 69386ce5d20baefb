"""A dead letter that was sent again and is a duplicate has its event archived and its trace written again."""

import pytest

from pipeline.events import headers
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import record_key
from pipeline.events.model import Event, Headers, Kind, Micros, Record
from pipeline.stream.batch import Batch
from pipeline.stream.chunk import Chunk
from pipeline.stream.intake import Intake
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition
from pipeline.stream.stages import Stages

TP = TopicPartition("events", 0)
KEY = record_key("p", "t")
AT = Micros(1_700_000_000_000_000)
REPLAYED = ((headers.ATTEMPT, b"2"),)


class Worker:
    """A partition in which records are folded."""

    def __init__(self) -> None:
        self.partition = Partition(TP, Limits(2, 60, 1000, 100, 10**9, 100, 10**9))
        self._intake = Intake(10**6, Stages(None))
        self._offset = 0

    def take(self, name: str, with_headers: Headers = ()) -> tuple[Batch, int, int]:
        """The batch that one record gives, and how many new events and duplicates it was."""
        event = Event("p", "t", Kind.TRACE, "t", f"e-{name}", AT, {"name": name})
        record = Record("events", 0, self._offset, AT, KEY, to_canonical_json(event), with_headers)
        self._offset += 1
        taken = self._intake.decode(Chunk(TP, [record], lambda: None))
        batch = Batch()
        self._intake.fold(batch, self.partition, taken.decoded, taken.became)
        return batch, taken.became.new, taken.became.duplicate


@pytest.mark.parametrize("settled", [False, True])
def test_a_replayed_duplicate_is_archived_and_its_trace_written_but_not_opened_again(settled: bool) -> None:
    worker = Worker()
    worker.take("one")
    state = worker.partition.traces[KEY]
    size = worker.partition.size
    worker.partition.written(KEY, state)
    if settled:
        worker.partition.settle(KEY)
    batch, new, duplicate = worker.take("one", REPLAYED)
    assert (new, duplicate) == (0, 1)
    assert [row.event_id for row in batch.archive] == ["e-one"]
    assert state.rewrite
    assert KEY in worker.partition.unwritten, "it holds the part until it is written"
    assert (state.event_count, worker.partition.size) == (1, size)
    assert worker.partition.is_settled(KEY) == settled


def test_headers_without_a_value_are_no_headers() -> None:
    """Kafka allows them; a worker must not die of one."""
    nothing = tuple(
        (name, None) for name in (headers.CONTENT_TYPE, headers.RECEIVER, headers.RECEIVED_AT, headers.PROJECT)
    )
    batch, new, _ = Worker().take("one", nothing)
    assert (new, batch.archive[0].content_type, batch.archive[0].receiver) == (1, "", "kafka")


def test_an_ordinary_duplicate_is_only_counted() -> None:
    worker = Worker()
    worker.take("one")
    worker.partition.written(KEY, worker.partition.traces[KEY])
    batch, new, duplicate = worker.take("one")
    assert (new, duplicate, batch.archive) == (0, 1, [])
    assert not worker.partition.traces[KEY].rewrite
    assert KEY not in worker.partition.unwritten


def test_a_replay_that_is_new_is_new() -> None:
    batch, new, duplicate = Worker().take("one", REPLAYED)
    assert (new, duplicate, len(batch.archive)) == (1, 0, 1)
