"""The one way into the events topic, shared by every protocol: address a record, send all, wait for Kafka."""

from collections.abc import Sequence

from pipeline.ingest.answers import unavailable
from pipeline.ingest.front import FrontDoor
from pipeline.ingest.kafka_link import Outcome
from pipeline.ingest.lanes import Outgoing
from pipeline.ingest.records import record, record_headers
from pipeline.metrics import Metric

__all__ = ["accept", "record", "record_headers"]


async def accept(front: FrontDoor, records: Sequence[Outgoing]) -> list[Outcome]:
    """One outcome for each record. Raises ApiError (503) where Kafka took none of them or the overflow is full."""
    if not records:
        return []
    project_id = records[0].key.partition(b"/")[0].decode()
    front.limiter.charge_events(project_id, len(records))
    overflow = front.fairness.overflows(project_id, len(records))
    if overflow:
        front.lag.check_overflow()
        front.metrics.add(Metric.INGEST_OVERFLOW, len(records))
    outcomes = await front.producer.send(records, overflow=overflow)
    if all(outcome is Outcome.FAILED for outcome in outcomes):
        raise unavailable("Kafka did not take the events in time.")
    return outcomes
