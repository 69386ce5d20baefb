"""A chunk that waits for its commit keeps its acknowledgement in memory, and none of its records."""

import gc
import weakref
from types import SimpleNamespace

from faust import Event
from faust.types import ConsumerMessage

from pipeline.events.model import Record
from pipeline.stream.app import chunk_of
from pipeline.stream.chunk import Span


class Raw(SimpleNamespace):
    """A record as Kafka's client hands it over."""


def waiting() -> tuple[Span, "weakref.ref[Raw]", list[Record]]:
    raw = Raw(partition=3, offset=7, timestamp=5, key=b"p/t", value=b"large", headers=())
    message = ConsumerMessage("events", 3, 7, 0.0, 0, [], None, [raw], None)  # type: ignore[arg-type]
    chunk = chunk_of(Event(None, None, [raw], None, message))  # type: ignore[arg-type]
    return chunk.span(), weakref.ref(raw), chunk.records


def test_what_waits_for_a_commit_keeps_no_record_in_memory() -> None:
    span, raw, records = waiting()
    gc.collect()
    assert raw() is None
    assert ((span.tp.partition, span.last), records[0].value) == ((3, 7), b"large")
    assert records[0].timestamp == 5000
