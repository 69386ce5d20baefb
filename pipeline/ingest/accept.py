"""The one way into the events topic, shared by every protocol: address a record, send all, wait for Kafka."""

from collections.abc import Sequence
from time import time_ns

from pipeline.events import headers, keys
from pipeline.ingest.answers import unavailable
from pipeline.ingest.front import FrontDoor
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.lanes import Headers, Outgoing


def record_headers(project_id: str, receiver: bytes, content_type: bytes) -> Headers:
    """The headers of every record of a request that arrives now."""
    return [
        (headers.CONTENT_TYPE, content_type),
        (headers.PROJECT, project_id.encode()),
        (headers.RECEIVER, receiver),
        (headers.RECEIVED_AT, b"%d" % (time_ns() // 1000)),
    ]


def record(project_id: str, trace_id: str, value: bytes, common: Headers) -> Outgoing:
    """One event, original bytes, keyed by its trace."""
    return Outgoing(keys.record_key(project_id, trace_id), value, common)


async def accept(front: FrontDoor, records: Sequence[Outgoing]) -> list[Outcome]:
    """One outcome for each record. Raises ApiError (503) where Kafka acknowledged none of them."""
    if not records:
        return []
    front.limiter.charge_events(records[0].key.partition(b"/")[0].decode(), len(records))
    outcomes = await front.producer.send(records)
    if all(outcome is Outcome.FAILED for outcome in outcomes):
        raise unavailable("Kafka did not take the events in time.")
    return outcomes
