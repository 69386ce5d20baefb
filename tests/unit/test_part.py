"""What is committed together: no chunk is done before the rows of its traces are, nor before an earlier chunk is."""

from pipeline.stream.batch import Batch
from pipeline.stream.chunk import ChunkCount, Span
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part, Parts
from pipeline.stream.partition import Limits, Partition

TP = TopicPartition("events", 0)


def chunk(offset: int) -> Span:
    return Span(TP, offset, offset, 1, lambda: None)


def parts(*some: tuple[int, bool]) -> tuple[Parts, list[Part]]:
    """(holders, flushed) of each."""
    made, all_ = Parts(), [Part([(chunk(n), ChunkCount())], *each) for n, each in enumerate(some)]
    for part in all_:
        made.add(part)
    return made, all_


def test_a_part_is_done_when_it_was_flushed_and_nobody_holds_it() -> None:
    for holders, flushed in ((1, True), (0, False), (1, False)):
        made, [part] = parts((holders, flushed))
        assert (made.done(), len(made)) == ([], 1)
        part.holders, part.flushed = 0, True
        assert (made.done(), len(made), made.done()) == ([part], 0, [])


def test_a_trace_that_lets_go_frees_the_part_once_all_have() -> None:
    made, [part] = parts((2, True))
    part.release()
    assert made.done() == []
    part.release()
    assert made.done() == [part]


def test_a_part_waits_for_every_earlier_one() -> None:
    made, all_ = parts((0, True), (1, True), (0, True))
    assert made.done() == all_[:1]
    all_[1].release()
    assert made.done() == all_[1:]


def test_chunks_that_wait_are_told_in_order() -> None:
    made, all_ = parts((0, True), (1, True), (0, False))
    made.done()
    assert [each.first for each in made.chunks()] == [1, 2]
    assert made.chunks() == [entry[0] for part in all_[1:] for entry in part.chunks]


def test_a_batch_has_one_part_of_each_partition_which_waits_there_in_order() -> None:
    limits = Limits(2, 60, 1000, 10, 10_000, 10, 10_000)
    one, other = (Partition(TopicPartition("events", number), limits) for number in (0, 1))
    first, second = Batch(), Batch()
    assert not first
    a, b, c = first.part(one), first.part(other), second.part(one)
    assert first
    assert first.part(one) is a
    assert len({id(part) for part in (a, b, c)}) == 3
    first.add(one, chunk(0), ChunkCount(new=1))
    second.add(one, chunk(1), ChunkCount(new=1))
    assert ([len(each.parts) for each in (one, other)], len(a.chunks)) == ([2, 1], 1)
    c.flushed = True
    assert one.parts.done() == []
    a.flushed = True
    assert one.parts.done() == [a, c]
