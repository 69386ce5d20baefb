"""Bringing traces back from the archive: when an event or the time to settle comes for one that is not in memory.

What is read back is folded like anything else, so a trace from the archive equals one that was never away. An archived
event is not necessarily in any row yet (the archive is written first); such an event was never committed, so it is
delivered again and found to be a redelivery, which makes its whole trace due for writing. So is a trace whose stored
row was made from fewer events than the archive has; of all others the rows are known to be right, and none is written
because it was read back. A stored row made from *more* events than the archive has tells that the archive expired:
then the stored rows stand for the events that are gone (stream/expired.py).
How it fails: while ClickHouse does not answer, reading waits and tries again for ever, and so do those who need it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import record_key
from pipeline.events.model import Event, Micros, Record
from pipeline.events.priced import Pricer
from pipeline.events.reasons import DecodeError
from pipeline.fold.build import rest
from pipeline.fold.state import TraceState
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent, StoredTrace, TraceKey
from pipeline.stream.expired import stand_in
from pipeline.stream.partition import Partition
from pipeline.stream.persist import ask_store
from pipeline.stream.rows import EPOCH_STEP

log = structlog.get_logger(__name__)

NO_LIMIT = 2**62
KEYS_PER_QUERY = 500
OPEN_PER_QUERY = 50_000


class _Answer(NamedTuple):
    """What the store has of some traces."""

    events: list[RawEvent]
    counts: Counter[TraceKey]  # of the events
    traces: dict[TraceKey, StoredTrace]
    rows: dict[TraceKey, list[lookups.StoredRow]]  # of those whose archive expired


class Archive:
    """Opens partitions and reads traces back into them. Both raise persist.Cancelled once the partition is revoked."""

    def __init__(self, client: Client, prices: Callable[[], Pricer], partitions: Callable[[str], int]) -> None:
        """`partitions` tells how many a topic has, 0 where it does not know."""
        self._client, self._prices, self._partitions = client, prices, partitions

    async def open(self, partition: Partition) -> None:
        """1 fill the filter of known traces, then the partition is ready; 2 put those that are open to sleep in it."""
        client, (topic, number) = self._client, partition.tp
        known = partial(lookups.known_trace_hashes, client, topic, number, self._partitions(topic))
        hashes = await ask_store(known, partition.is_revoked)  # 1
        partition.known.replace(hashes)
        partition.ready.set()
        after, found = ("", ""), 0  # 2
        while True:
            page = partial(lookups.open_traces, client, topic, number, OPEN_PER_QUERY, after)
            names = await ask_store(page, partition.is_revoked)
            for project_id, trace_id in names:
                key = record_key(project_id, trace_id)
                if key not in partition.traces:
                    partition.fall_asleep(key, project_id)
            found += len(names)
            if len(names) < OPEN_PER_QUERY:
                break
            after = names[-1]
        log.info("partition_opened", topic=topic, partition=number, known=len(partition.known), open=found)

    async def read_back(self, partition: Partition, names: Sequence[TraceKey]) -> None:
        """Fold the archived events of these (project, trace) into the partition. Traces in memory are left alone."""
        for at in range(0, len(names), KEYS_PER_QUERY):
            some = names[at : at + KEYS_PER_QUERY]
            answer = await ask_store(partial(self._ask, some), partition.is_revoked)
            self._restore(partition, answer)

    async def events_of(self, names: Sequence[TraceKey]) -> list[RawEvent]:
        """The archived events of these traces, however long it takes."""
        return await ask_store(lambda: list(lookups.read_back(self._client, names)), lambda: False)

    def _ask(self, names: Sequence[TraceKey]) -> _Answer:
        events = list(lookups.read_back(self._client, names))
        counts = Counter((raw.project_id, raw.trace_id) for raw in events)
        first_seen = {(raw.project_id, raw.trace_id): raw.first_seen for raw in events}
        traces = lookups.stored_traces(self._client, names, first_seen)
        gone = [stored for name, stored in traces.items() if _count(stored) > counts[name]]
        return _Answer(events, counts, traces, lookups.stored_rows(self._client, gone) if gone else {})

    def _restore(self, partition: Partition, answer: _Answer) -> None:
        present = set(partition.traces)
        restored: dict[bytes, TraceState] = {}
        for name, rows in answer.rows.items():
            key = record_key(*name)
            if key not in present:
                stored = answer.traces[name]
                state = restored[key] = partition.create(key, *name, stored.first_seen)
                state.base_count = _count(stored) - answer.counts[name]
                stand_in(state, rows)
        for raw in answer.events:
            key = record_key(raw.project_id, raw.trace_id)
            if key not in present:
                if key not in restored:
                    restored[key] = partition.create(key, raw.project_id, raw.trace_id, raw.first_seen)
                _take(partition, key, restored[key], raw)
        price = self._prices()
        for key, state in restored.items():
            rest(state, price)
            stored_trace = answer.traces.get((state.project_id, state.trace_id))
            _judge(partition, key, state, stored_trace, price.epoch)


def _take(partition: Partition, key: bytes, state: TraceState, raw: RawEvent) -> None:
    size = len(raw.value)
    here = raw.topic == partition.tp.topic and raw.partition == partition.tp.partition
    state.first_seen = min(state.first_seen, raw.first_seen)
    event = _decoded(raw, key)
    if event is not None:
        partition.size += size
        state.restore(event, raw.identity, raw.offset if here else -1, size)


def _judge(partition: Partition, key: bytes, state: TraceState, stored: StoredTrace | None, epoch: int) -> None:
    """Are its stored rows what they would be now? And is it settled?"""
    if stored is None:
        state.rewrite = state.has_trace_row
        return
    if stored.row_version // 2 != (epoch * EPOCH_STEP) // 2 + state.event_count:
        state.rewrite = True
    elif stored.settled:
        partition.sleeping.pop(key, None)
        partition.settle(key)


def _count(stored: StoredTrace) -> int:
    """Events that the stored row was made from."""
    return stored.row_version % EPOCH_STEP // 2


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
