"""Records to the events topic or its overflow: to which partition each, and what became of it within the deadline.

Rule: an outcome is STORED only after all in-sync replicas have acknowledged. Failure is an outcome, not an exception:
what is not acknowledged by the deadline is FAILED, even if Kafka takes it later (events are deduplicated, so sending
again is always right). Configured by SPANFOLD_KAFKA_BOOTSTRAP and SPANFOLD_PRODUCE_TIMEOUT.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.config import Settings
from pipeline.events.partition import partition_of
from pipeline.ingest.edge_counts import EdgeCounts
from pipeline.ingest.kafka_link import KafkaLink, Outcome
from pipeline.ingest.lanes import Lane, Outgoing, Portion


class _Place(NamedTuple):
    """Where a record's outcome will be found."""

    portion: Portion
    number: int  # within the portion


_Way = tuple[str, int]  # topic, partition


class EventProducer:
    """`start`, `send` from any number of requests, `stop`. Lives in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.produce_timeout
        self._link = KafkaLink(settings)
        self._counts = {
            topic: EdgeCounts(topic, lambda value: self._link.publish(settings.edge_counts_topic, value))
            for topic in (settings.events_topic, settings.overflow_topic)
        }
        self._lanes: dict[_Way, Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to connect; does not wait for Kafka."""
        self._tasks.append(asyncio.create_task(self._link.run(), name="kafka link"))
        for topic, counts in self._counts.items():
            self._tasks.append(asyncio.create_task(counts.run(), name=f"counts of {topic}"))

    async def stop(self) -> None:
        """Flush and close. Call it after the last `send` has returned."""
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await asyncio.gather(*(counts.finish() for counts in self._counts.values()))
        for task in self._tasks[:1]:  # the link last: all others use it
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reachable(self) -> bool:
        """True where a broker answers now."""
        return await self._link.reachable()

    async def partitions(self) -> int:
        """How many the events topic has, waited for where Kafka is away."""
        return await self._link.partitions()

    async def overflow_partitions(self) -> int:
        """How many the overflow topic has, 0 where nobody has made it; waited for where Kafka is away."""
        return await self._link.overflow_partitions()

    async def send(self, records: Sequence[Outgoing], *, overflow: bool = False) -> list[Outcome]:
        """One outcome for each record, in order, after at most SPANFOLD_PRODUCE_TIMEOUT seconds.

        What the overflow topic refuses for its size goes to the events topic, which may take more.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        outcomes = await self._send(records, overflow, deadline)
        large = [number for number, outcome in enumerate(outcomes) if outcome is Outcome.TOO_LARGE] if overflow else []
        if large:
            again = await self._send([records[number] for number in large], False, deadline)
            for number, outcome in zip(large, again, strict=True):
                outcomes[number] = outcome
        return outcomes

    async def _send(self, records: Sequence[Outgoing], overflow: bool, deadline: float) -> list[Outcome]:
        shares: dict[_Way, Portion] = {}
        places: list[_Place] = []
        try:
            async with asyncio.timeout_at(deadline):
                topic, partitions = await self._where(overflow)
                places = _distribute(records, topic, partitions, shares)
                for way, portion in shares.items():
                    self._lane(way).put(portion)
                for portion in shares.values():
                    await portion.done
        except TimeoutError:
            pass  # what has no outcome now is FAILED below
        finally:
            for way, portion in shares.items():
                self._lane(way).withdraw(portion)
        return [_outcome(place) for place in places] or [Outcome.FAILED] * len(records)

    async def _where(self, overflow: bool) -> _Way:
        """The topic, and how many partitions it has; the events topic where there is no other yet."""
        if overflow and (partitions := await self._link.overflow_partitions()):
            return self._link.overflow, partitions
        return self._link.topic, await self._link.partitions()

    def _lane(self, way: _Way) -> Lane:
        lane = self._lanes.get(way)
        if lane is None:
            lane = self._lanes[way] = Lane(self._link, *way, self._counts[way[0]])
            self._tasks.append(asyncio.create_task(lane.run(), name=f"lane {way[1]} of {way[0]}"))
        return lane


def _distribute(records: Sequence[Outgoing], topic: str, partitions: int, shares: dict[_Way, Portion]) -> list[_Place]:
    places = []
    for record in records:
        way = (topic, partition_of(record.key, partitions))
        portion = shares.get(way)
        if portion is None:
            portion = shares[way] = Portion()
        places.append(_Place(portion, len(portion.records)))
        portion.records.append(record)
    return places


def _outcome(place: _Place) -> Outcome:
    outcomes = place.portion.outcomes
    return outcomes[place.number] if place.number < len(outcomes) else Outcome.FAILED
