"""A chunk that waits for its commit keeps its acknowledgement in memory, and none of its records."""

import gc
import weakref

from faust import Event
from faust.types import ConsumerMessage

from pipeline.events.model import Micros, Record
from pipeline.stream.app import chunk_of
from pipeline.stream.chunk import Span


class Polled(list[Record]):
    """The records of a poll, in a list that can be watched."""


def waiting() -> tuple[Span, "weakref.ref[Polled]"]:
    records = Polled([Record("events", 3, 7, Micros(5), b"p/t", b"large", ())])
    message = ConsumerMessage("events", 3, 7, 0.0, 0, [], None, records, None)  # type: ignore[arg-type]
    chunk = chunk_of(Event(None, None, records, None, message))  # type: ignore[arg-type]
    assert chunk.records is records
    return chunk.span(), weakref.ref(records)


def test_what_waits_for_a_commit_keeps_no_record_in_memory() -> None:
    span, records = waiting()
    gc.collect()
    assert records() is None
    assert (span.tp.partition, span.last) == (3, 7)
