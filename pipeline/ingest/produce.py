"""Records to the events topic: which partition each belongs to, and what became of it within the deadline.

Rule: an outcome is STORED only after all in-sync replicas have acknowledged. Failure is an outcome, not an exception:
what is not acknowledged by the deadline is FAILED, even if Kafka takes it later (events are deduplicated, so sending
again is always right). Configured by SPANFOLD_KAFKA_BOOTSTRAP and SPANFOLD_PRODUCE_TIMEOUT.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.config import Settings
from pipeline.ingest.edge_counts import EdgeCounts
from pipeline.ingest.kafka_link import KafkaLink, Outcome
from pipeline.ingest.lanes import Lane, Outgoing, Portion
from pipeline.ingest.partition import partition_of


class _Place(NamedTuple):
    """Where a record's outcome will be found."""

    portion: Portion
    number: int  # within the portion


class EventProducer:
    """`start`, `send` from any number of requests, `stop`. Lives in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.produce_timeout
        self._link = KafkaLink(settings)
        self._counts = EdgeCounts(
            settings.events_topic, lambda value: self._link.publish(settings.edge_counts_topic, value)
        )
        self._lanes: dict[int, Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to connect; does not wait for Kafka."""
        self._tasks.append(asyncio.create_task(self._link.run(), name="kafka link"))
        self._tasks.append(asyncio.create_task(self._counts.run(), name="edge counts"))

    async def stop(self) -> None:
        """Flush and close. Call it after the last `send` has returned."""
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self._counts.finish()
        for task in self._tasks[:1]:  # the link last: all others use it
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reachable(self) -> bool:
        """True where a broker answers now."""
        return await self._link.reachable()

    async def partitions(self) -> int:
        """How many the events topic has, waited for where Kafka is away."""
        return await self._link.partitions()

    async def send(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """One outcome for each record, in order, after at most SPANFOLD_PRODUCE_TIMEOUT seconds."""
        shares: dict[int, Portion] = {}
        places: list[_Place] = []
        try:
            async with asyncio.timeout(self._timeout):
                places = _distribute(records, await self._link.partitions(), shares)
                for partition, portion in shares.items():
                    self._lane(partition).put(portion)
                for portion in shares.values():
                    await portion.done
        except TimeoutError:
            pass  # what has no outcome now is FAILED below
        finally:
            for partition, portion in shares.items():
                self._lane(partition).withdraw(portion)
        return [_outcome(place) for place in places] or [Outcome.FAILED] * len(records)

    def _lane(self, partition: int) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(self._link, partition, self._counts)
            self._tasks.append(asyncio.create_task(lane.run(), name=f"lane {partition}"))
        return lane


def _distribute(records: Sequence[Outgoing], partitions: int, shares: dict[int, Portion]) -> list[_Place]:
    places = []
    for record in records:
        partition = partition_of(record.key, partitions)
        portion = shares.get(partition)
        if portion is None:
            portion = shares[partition] = Portion()
        places.append(_Place(portion, len(portion.records)))
        portion.records.append(record)
    return places


def _outcome(place: _Place) -> Outcome:
    outcomes = place.portion.outcomes
    return outcomes[place.number] if place.number < len(outcomes) else Outcome.FAILED
