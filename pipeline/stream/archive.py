"""Bringing traces back from the archive: when an event or the time to settle comes for one that is not in memory.

What is read back is folded like anything else, so a trace from the archive equals one that was never away. An archived
event is not necessarily in any row yet (the archive is written first); such an event was never committed, so it is
delivered again and found to be a redelivery, which makes its whole trace due for writing. So is a trace whose stored
row was made from fewer events than the archive has; of all others the rows are known to be right, and none is written
because it was read back. A stored row made from *more* events than the archive has tells that the archive expired:
then the stored rows stand for the events that are gone (stream/expired.py).
Media in what is read back are durable before the trace is in memory, as those of new events are: an older version of
the code may have archived them.
How it fails: while ClickHouse does not answer, reading waits and tries again for ever, and so do those who need it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.events.keys import record_key
from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.fold.build import rest
from pipeline.fold.shed import shed
from pipeline.fold.state import TraceState
from pipeline.metrics import UNSEEN, Metric, Metrics
from pipeline.store import lookups
from pipeline.store.lookups import Entity, RawEvent, StoredTrace, TraceKey
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream.archived import ELSEWHERE, Keep, take
from pipeline.stream.contents import bring_content_back
from pipeline.stream.expired import stand_in
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Barred, Partition
from pipeline.stream.persist import Cancelled, ask_store
from pipeline.stream.spoilt import tell
from pipeline.stream.spoilt_archive import Spoilt, rested

log = structlog.get_logger(__name__)

T = TypeVar("T")

KEYS_PER_QUERY = 500
OPEN_PER_QUERY = 50_000
BEHIND = 0.5  # seconds until the number of partitions is asked again


class Restored(NamedTuple):
    """A trace from the archive, and its stored row."""

    key: bytes
    state: TraceState
    stored: StoredTrace | None
    error: Exception | None = None  # our own code failed on all of it: the state is not to be used


class Archive:
    """Opens partitions and reads traces back into them. Both raise persist.Cancelled once the partition is revoked."""

    def __init__(
        self,
        client: Client,
        prices: Callable[[], Pricer],
        partitions: Callable[[str], Awaitable[int]],
        trace_bytes: int,
        metrics: Metrics = UNSEEN,
        keep: Keep | None = None,
    ) -> None:
        """`partitions` tells how many a topic has now; see fold/shed.py for `trace_bytes`, archived.py for `keep`."""
        self._client, self._prices, self._partitions, self._trace_bytes = client, prices, partitions, trace_bytes
        self._metrics, self._keep = metrics, keep

    async def open(self, partition: Partition) -> None:
        """1 fill the filter of known traces, then the partition is ready; 2 put those that are open to sleep in it.

        The number of partitions is asked anew each time: a topic that grew has other traces at home here. A broker that
        has not heard of the growth yet tells fewer than are assigned; homes by its number would be wrong for days.
        """
        client, (topic, number) = self._client, partition.tp
        count = await self._partitions(topic)
        while count < partition.fewest and not partition.revoked:
            log.warning("partitions_behind", topic=topic, told=count, assigned=partition.fewest, retry_in=BEHIND)
            await asyncio.sleep(BEHIND)
            count = await self._partitions(topic)
        partition.count = count
        known = partial(lookups.known_trace_hashes, client, topic, number, partition.count)
        hashes = await self._ask(known, partition)  # 1
        partition.known.replace(hashes)
        partition.ready.set()
        after, found = ("", ""), 0  # 2
        while True:
            page = partial(lookups.open_traces, client, number, partition.count, OPEN_PER_QUERY, after)
            traces = await self._ask(page, partition)
            for project_id, trace_id, ended in traces:
                key = record_key(project_id, trace_id)
                if key not in partition.traces:
                    partition.fall_asleep(key, project_id, ended=ended)
            found += len(traces)
            if len(traces) < OPEN_PER_QUERY:
                break
            await partition.until_fewer()
            after = traces[-1][:2]
        log.info("partition_opened", topic=topic, partition=number, known=len(partition.known), open=found)

    async def read_back(self, partition: Partition, names: Sequence[TraceKey]) -> None:
        """Fold the archived events of these (project, trace) into the partition. Traces in memory are left alone."""
        for at in range(0, len(names), KEYS_PER_QUERY):
            question = partial(self._restored, partition.tp, names[at : at + KEYS_PER_QUERY], self._prices())
            with self._timed():
                restored = await self._ask(question, partition)
            for each in restored:
                if each.error is not None:
                    partition.barred[each.key] = Barred(each.error, each.state.first_seen)
                elif each.key not in partition.traces and each.key not in partition.thrown:
                    _admit(partition, each)
                    self._metrics.add(Metric.READ_BACKS, 1, "trace")

    async def bring_back(self, partition: Partition, key: bytes, ids: Sequence[str]) -> None:
        """The content of some observations of a giant trace, which was let go.

        Where our own code fails on it the trace's rows cannot be made and nobody can fold what asked for it: the one
        is put aside by the next look at what is due, the other by whoever folds.
        """
        try:
            with self._timed():
                await bring_content_back(self._client, partition, key, ids, self._metrics)
        except Cancelled:
            raise
        except Exception as error:  # our own mistake, which must not stop the partition
            project_id, _, trace_id = key.decode().partition("/")
            tell(error, "read_back", (project_id, trace_id))
            if (state := partition.traces.get(key)) is not None:
                partition.unfit[key], partition.barred[key] = error, Barred(error, state.first_seen)
                partition.delayed(key, state, partition.clock(), settles=False)

    async def events_of(self, entities: Sequence[Entity]) -> list[RawEvent]:
        """The archived events of these entities, however long it takes."""
        question = partial(lookups.read_back_entities, self._client, entities)
        return await ask_store(lambda: list(question()), lambda: False, self._metrics)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """The time in which something comes back into memory."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._metrics.add(Metric.READ_BACK_SECONDS, time.perf_counter() - began)

    async def _ask(self, question: Callable[[], T], partition: Partition) -> T:
        return await ask_store(question, partition.is_revoked, self._metrics)

    def _restored(self, tp: TopicPartition, names: Sequence[TraceKey], price: Pricer) -> list[Restored]:
        """Fold the traces, and see what their stored rows were made from.

        Where rows know of more than was read, somebody may have written both meanwhile (the old owner of the partition
        has an insert under way): the archive is asked again, and what it still does not have has expired.
        """
        spoilt = Spoilt()
        states = self._folded(tp, names, price, spoilt)
        first_seen = {name: state.first_seen for name, state in states.items()}
        stored = lookups.stored_traces(self._client, names, first_seen)
        if more := [name for name, each in stored.items() if _count(each) > _events(states, name)]:
            states |= self._folded(tp, more, price, spoilt)
        gone = [each for name, each in stored.items() if _count(each) > _events(states, name)]
        for name, rows in (lookups.stored_rows(self._client, gone) if gone else {}).items():
            state = states.setdefault(name, TraceState(*name, stored[name].first_seen))
            state.base_count = _count(stored[name]) - state.event_count
            try:
                stand_in(state, rows)
            except Exception as error:  # our own mistake, perhaps the one for which an event was left out
                spoilt.give_up(name, error)
        return [
            Restored(record_key(*name), state, stored.get(name), spoilt.error(name) or rested(state, price))
            for name, state in states.items()
        ]

    def _folded(
        self, tp: TopicPartition, names: Sequence[TraceKey], price: Pricer, spoilt: Spoilt
    ) -> dict[TraceKey, TraceState]:
        """The traces by their archived events, but for those that the fold fails on."""
        states: dict[TraceKey, TraceState] = {}
        left = names
        while left:
            self._fold_once(tp, left, price, states, spoilt)
            left = spoilt.to_read_again()
            for name in left:
                del states[name]
        return states

    def _fold_once(
        self, tp: TopicPartition, names: Sequence[TraceKey], price: Pricer, states: dict[TraceKey, TraceState],
        spoilt: Spoilt,
    ) -> None:  # fmt: skip
        """A trace that grows beyond the limit lets go of what was said first."""
        last, limit = TraceState("", "", Micros(0)), self._trace_bytes
        for raw in lookups.read_back(self._client, names):
            name = (raw.project_id, raw.trace_id)
            state = states.get(name)
            if state is None:
                state = states[name] = TraceState(*name, raw.first_seen)
            state.first_seen = min(state.first_seen, raw.first_seen)  # also of what is left out
            try:
                if last is not state:
                    last, limit = state, self._trace_bytes
                elif state.size > limit and not state.knows(raw.entity_id):
                    rest(state, price)
                    shed(state)
                    limit = max(limit, 2 * state.size)
                if not spoilt.skips(raw):
                    here = raw.topic == tp.topic and raw.partition == tp.partition
                    take(state, raw, raw.offset if here else ELSEWHERE, self._keep)
            except OSError:  # the store of media says no: everything is asked again
                raise
            except Exception as error:  # our own mistake, which must not stop the partition
                spoilt.note(raw, error)


def _events(states: Mapping[TraceKey, TraceState], name: TraceKey) -> int:
    return states[name].event_count if name in states else 0


def _admit(partition: Partition, restored: Restored) -> None:
    key, state, stored, _ = restored
    partition.traces[key] = state
    partition.size += state.size
    if state.size > partition.limits.trace_bytes:
        partition.giants.add(key)
    _judge(partition, key, state, stored)


def _judge(partition: Partition, key: bytes, state: TraceState, stored: StoredTrace | None) -> None:
    """Are its stored rows what they would be now? And is it settled?"""
    if stored is None:
        state.rewrite = state.has_trace_row
    else:
        state.rewrite = stored.row_version // 2 != state.epoch * EPOCH_STEP // 2 + state.event_count
        if stored.settled and _count(stored) == state.event_count:  # other books alone do not open it again
            partition.settle(key)
            return
    partition.open.recovered(key, partition.clock())  # though nothing but a duplicate asked for it


def _count(stored: StoredTrace) -> int:
    """Events that the stored row was made from."""
    return stored.row_version % EPOCH_STEP // 2
