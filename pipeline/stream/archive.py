"""Bringing traces back from the archive: when a partition is assigned, and when an event's trace was evicted.

What is read back is folded like anything else, so a trace from the archive equals one that was never away. An archived
event is not necessarily in any row yet (the archive is written first); such an event was never committed, so it is
delivered again and found to be a redelivery, which makes its trace due for writing.
How it fails: while ClickHouse does not answer, reading waits and tries again for ever, and so does the partition.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import record_key
from pipeline.events.model import Event, Micros, Record
from pipeline.events.reasons import DecodeError
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent
from pipeline.stream.partition import Partition
from pipeline.stream.persist import ask_store

log = structlog.get_logger(__name__)

NO_LIMIT = 2**62
KEYS_PER_QUERY = 2_000


class Archive:
    """Opens partitions and reads traces back into them. Both raise persist.Cancelled once the partition is revoked."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def open(self, partition: Partition) -> None:
        """Fill the filter of known traces and bring back those that have not settled; then the partition is ready."""
        client, (topic, number) = self._client, partition.tp
        hashes = await ask_store(lambda: lookups.known_trace_hashes(client, topic, number), partition.is_revoked)
        partition.known.replace(hashes)
        limit = partition.limits.traces
        names = await ask_store(lambda: lookups.open_traces(client, topic, number, limit), partition.is_revoked)
        await self.read_back(partition, names)
        log.info("partition_opened", topic=topic, partition=number, known=len(partition.known), open=len(names))
        partition.ready.set()

    async def read_back(self, partition: Partition, names: Sequence[tuple[str, str]]) -> None:
        """Fold the archived events of these (project, trace) into the partition. Traces in memory are left alone."""
        for at in range(0, len(names), KEYS_PER_QUERY):
            question = partial(self._events, names[at : at + KEYS_PER_QUERY])
            _restore(partition, await ask_store(question, partition.is_revoked))

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
        event = _decoded(raw, key)
        if event is None:
            continue
        here = raw.topic == partition.tp.topic and raw.partition == partition.tp.partition
        state.add(event, raw.identity, raw.offset if here else -1, size)
        partition.touched(key)


def _decoded(raw: RawEvent, key: bytes) -> Event | None:
    """The archived event; None, loudly, where this version of the code cannot read what an older one could."""
    try:
        return decode_record(_record(raw, key), NO_LIMIT)[raw.position]
    except (DecodeError, IndexError) as error:
        log.error("archived_event_unreadable", trace=raw.trace_id, event_id=raw.event_id, error=repr(error)[:500])
        return None


def _record(raw: RawEvent, key: bytes) -> Record:
    """The Kafka record that an archived event came in."""
    named = [(headers.CONTENT_TYPE, raw.content_type.encode()), (headers.PROJECT, raw.project_id.encode())]
    return Record(raw.topic, raw.partition, raw.offset, Micros(raw.timestamp), key, raw.value, tuple(named))
