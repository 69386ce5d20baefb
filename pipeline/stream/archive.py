"""Bringing traces back from the archive: when a partition is assigned, and when an event's trace was evicted.

What is read back is folded like anything else, so a trace from the archive equals one that was never away. An archived
event is not necessarily in any row yet (the archive is written first); such an event was never committed, so it is
delivered again and found to be a redelivery, which makes its trace due for writing.
How it fails: while ClickHouse does not answer, reading waits and tries again for ever, and so does the partition.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import record_key
from pipeline.events.model import Micros, Record
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent
from pipeline.stream.partition import Partition

log = structlog.get_logger(__name__)
T = TypeVar("T")

NO_LIMIT = 2**62
KEYS_PER_QUERY = 2_000
LONGEST_WAIT = 10.0
RETRYABLE = (ClickHouseError, HTTPError, OSError)


class Revoked(Exception):  # not an error: the partition is somebody else's now
    """The partition was revoked while it waited for the store."""


class Archive:
    """Opens partitions and reads traces back into them."""

    def __init__(self, client: Client, open_limit: int) -> None:
        self._client = client
        self._open_limit = open_limit

    async def open(self, partition: Partition) -> None:
        """Fill the filter of known traces and bring back those that have not settled; then the partition is ready.

        Raises Revoked.
        """
        topic, number = partition.tp
        partition.known.replace(await _ask(partition, lambda: lookups.known_trace_hashes(self._client, topic, number)))
        names = await _ask(partition, lambda: lookups.open_traces(self._client, topic, number, self._open_limit))
        for at in range(0, len(names), KEYS_PER_QUERY):
            await self.read_back(partition, names[at : at + KEYS_PER_QUERY])
        log.info("partition_opened", topic=topic, partition=number, known=len(partition.known), open=len(names))
        partition.ready.set()

    async def read_back(self, partition: Partition, names: Sequence[tuple[str, str]]) -> None:
        """Fold the archived events of these (project, trace) into the partition. Traces in memory are left alone.

        Raises Revoked.
        """
        for at in range(0, len(names), KEYS_PER_QUERY):
            some = names[at : at + KEYS_PER_QUERY]
            _restore(partition, await _ask(partition, partial(self._events, some)))

    def _events(self, names: Sequence[tuple[str, str]]) -> list[RawEvent]:
        return list(lookups.read_back(self._client, names))


def _restore(partition: Partition, raw_events: Iterable[RawEvent]) -> None:
    present = set(partition.traces)
    for raw in raw_events:
        key = record_key(raw.project_id, raw.trace_id)
        if key in present:
            continue
        state = partition.traces.get(key)
        if state is None:
            state = partition.create(key, raw.project_id, raw.trace_id, Micros(raw.first_seen))
        state.first_seen = min(state.first_seen, Micros(raw.first_seen))
        size = len(raw.value)
        partition.size += size
        event = decode_record(_record(raw, key), NO_LIMIT)[raw.position]
        here = raw.topic == partition.tp.topic and raw.partition == partition.tp.partition
        state.add(event, raw.identity, raw.offset if here else -1, size)
        partition.touched(key)


def _record(raw: RawEvent, key: bytes) -> Record:
    """The Kafka record that an archived event came in."""
    named = [(headers.CONTENT_TYPE, raw.content_type.encode()), (headers.PROJECT, raw.project_id.encode())]
    return Record(raw.topic, raw.partition, raw.offset, Micros(raw.timestamp), key, raw.value, tuple(named))


async def _ask(partition: Partition, question: Callable[[], T]) -> T:
    """The answer of a blocking question to the store, however long it takes; Revoked when nobody needs it any more."""
    wait = 0.1
    while not partition.revoked:
        try:
            return await asyncio.to_thread(question)
        except RETRYABLE as error:
            log.warning("store_read_failed", error=str(error)[:500], retry_in=wait)
        await asyncio.sleep(wait * (0.5 + random.random() / 2))  # noqa: S311  # jitter, not a secret
        wait = min(wait * 2, LONGEST_WAIT)
    raise Revoked
