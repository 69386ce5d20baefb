"""Records from elsewhere than the archive: the Kafka topic, or a folder of files; and the archive into such a folder.

A trace is always made from all that is known of it, so what another source has and the archive lacks is archived first,
under the place in the log that it has or had; then the archive is replayed. Archiving twice changes nothing. A record
that cannot be decoded is left out, and counted in the log: it is a dead letter.
From the topic come the records of the time range that the workers' group has committed; those beyond are the workers'.
From a folder come all its records of the project and traces that are asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.errors import SpanfoldError
from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity, is_trace, trace_hash
from pipeline.events.model import Event, Micros, Record, appended_at
from pipeline.events.reasons import DecodeError
from pipeline.kafka_client import kafka_options
from pipeline.ops.kafka_admin import looking
from pipeline.registry import open_registry
from pipeline.replay.folder import read_folder, write_folder
from pipeline.replay.run import TIMEOUT, Question, now
from pipeline.replay.scope import BIG_QUERY, NOTHING, chosen, sql
from pipeline.store import lookups
from pipeline.store.client import connect
from pipeline.store.insert import Inserter
from pipeline.store.lookups import RawEvent, TraceKey
from pipeline.store.rows import RawEventRow
from pipeline.store.tables import RAW_EVENTS
from pipeline.stream.archive_row import archive_row
from pipeline.stream.retention import Keeps, RetentionBook

log = structlog.get_logger(__name__)

AT_ONCE = 2_000  # records
POLL_MS = 1_000
PATIENCE = 30.0  # seconds without a record until the topic is given up
NO_LIMIT = 2**62

Batches = AsyncIterator[Sequence[Record]]
Found = tuple[Record, int, Event, bytes]  # a record, the place of an event in it, the event, its identity


class TopicError(SpanfoldError):
    """The topic does not give what it must have."""


def export(settings: Settings, question: Question, folder: Path) -> tuple[int, int]:
    """Write the archived records of the traces that are asked for; (files, records). Raises FolderError."""
    with ExitStack() as stack:
        client = connect(settings, deadline=5.0, timeout=TIMEOUT)
        stack.callback(client.close)
        scope = question.scope(now() if question.until is None else int(question.until.timestamp() * 1e6))
        return write_folder(folder, _raws(client, (each.name for each in chosen(client, scope, NOTHING))))


def fill_from_folder(settings: Settings, question: Question, folder: Path, *, dry_run: bool) -> int:
    """Archive what the archive lacks; how many events that were, or would be. Raises FolderError."""
    return asyncio.run(_fill(settings, question, _batches(folder), dry_run))


def fill_from_topic(settings: Settings, question: Question, *, dry_run: bool) -> int:
    """The same from the events topic. Raises BrokerUnreachableError, TopicError."""
    return asyncio.run(_fill(settings, question, _committed(settings, question), dry_run))


def _raws(client: Client, names: Iterator[TraceKey]) -> Iterator[RawEvent]:
    while some := list(islice(names, lookups.KEYS_PER_QUERY)):
        yield from lookups.read_back(client, some)


async def _batches(folder: Path) -> Batches:
    records = read_folder(folder)
    while some := await asyncio.to_thread(lambda: list(islice(records, AT_ONCE))):
        yield some


async def _committed(settings: Settings, question: Question) -> Batches:
    """The records of the time range below the group's committed offsets."""
    start, until = (None if at is None else int(at.timestamp() * 1_000) for at in (question.start, question.until))
    async with looking(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(settings.fold_group)
    ends = {tp: each.offset for tp, each in offsets.items() if tp.topic == settings.events_topic and each.offset > 0}
    consumer = AIOKafkaConsumer(**kafka_options(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(ends))
        left = await _seek(consumer, ends, start or 0)
        heard = monotonic()
        while left:
            polled = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=AT_ONCE)
            for tp, raws in polled.items():
                heard = monotonic()
                records = [_record(raw) for raw in raws if raw.offset < ends[tp]]
                yield [each for each in records if until is None or each.timestamp < until * 1_000]
            left = [tp for tp in left if await consumer.position(tp) < ends[tp]]
            if monotonic() - heard > PATIENCE:
                raise TopicError(
                    f"{settings.events_topic} gave nothing for {PATIENCE:g} s, at {left}.", remedy="Check the broker."
                )
    finally:
        await consumer.stop()


async def _seek(consumer: Any, ends: dict[TopicPartition, int], start: int) -> list[TopicPartition]:
    """Go to the start of the range; the partitions that have something of it."""
    if not ends:
        return []
    at = await consumer.offsets_for_times(dict.fromkeys(ends, start))
    left = []
    for tp, found in at.items():
        if found is not None and found.offset < ends[tp]:
            consumer.seek(tp, found.offset)
            left.append(tp)
    return left


def _record(raw: Any) -> Record:
    return Record(
        raw.topic, raw.partition, raw.offset, appended_at(raw.timestamp), raw.key, raw.value, tuple(raw.headers)
    )


async def _fill(settings: Settings, question: Question, batches: Batches, dry_run: bool) -> int:
    client = connect(settings, deadline=5.0, timeout=TIMEOUT)
    registry = open_registry(settings.registry)
    keeps = RetentionBook(registry)
    await keeps.refresh()
    inserter = Inserter(client)
    count = rejected = 0
    try:
        async for records in batches:
            found, bad = _decoded(question, records)
            rejected += bad
            rows = await asyncio.to_thread(_new, client, found, keeps)
            count += len(rows)
            if not dry_run:
                await inserter.insert(RAW_EVENTS, rows, uuid4().hex)
    finally:
        inserter.close()
        client.close()
        registry.close()
    if rejected:
        log.warning("records_left_out", records=rejected, reason="they cannot be decoded")
    return count


def _decoded(question: Question, records: Sequence[Record]) -> tuple[list[Found], int]:
    """The events of these records that are asked for, and how many records cannot be decoded."""
    found: list[Found] = []
    rejected = 0
    for record in records:
        try:
            events = decode_record(record, NO_LIMIT)
        except DecodeError:
            rejected += 1
            continue
        except Exception as error:  # a decoder's own mistake: the neighbours go on; its message may quote the event
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error("decoder_failed", error=type(error).__name__, **place)
            rejected += 1
            continue
        for position, event in enumerate(events):
            if question.project in ("", event.project_id) and (
                not question.traces or event.trace_id in question.traces
            ):
                found.append((record, position, event, event_identity(event.event_id, record.value or b"")))
    return found, rejected


def _new(client: Client, found: Sequence[Found], keeps: Keeps) -> list[RawEventRow]:
    """Rows for those that are not archived."""
    if not found:
        return []
    names = {(event.project_id, event.trace_id) for _, _, event, _ in found}
    keys: dict[str, Any] = {"keys": tuple(names)}
    identities = tuple({identity.hex().upper() for *_, identity in found})
    rows = client.query(sql("archived"), parameters={**keys, "identities": identities}, settings=BIG_QUERY).result_rows
    archived = {str(row[0]) for row in rows}
    ids = tuple({trace for _, trace in names if is_trace(trace)} or {""})
    seen = client.query(sql("known"), parameters={**keys, "ids": ids}, settings=BIG_QUERY).result_rows
    first_seen = {(str(project), str(trace)): Micros(int(at)) for project, trace, at in seen}
    for record, _, event, _ in sorted(found, key=lambda each: each[0].timestamp):
        first_seen.setdefault((event.project_id, event.trace_id), record.timestamp)
    return [_row(each, first_seen, keeps) for each in found if each[3].hex().upper() not in archived]


def _row(found: Found, first_seen: dict[TraceKey, Micros], keeps: Keeps) -> RawEventRow:
    record, position, event, identity = found
    name = (event.project_id, event.trace_id)
    expires_at = keeps.archive_until(*name, record.timestamp)
    value, trace = record.value or b"", trace_hash(*name)
    return archive_row(record, value, position, event, identity, trace, first_seen[name], expires_at)
