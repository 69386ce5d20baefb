"""What outlives a worker, in memory: a log with committed offsets, and a store that checks what is written to it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.events import headers
from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity, record_key
from pipeline.events.model import Event, Micros, Record
from pipeline.events.partition import partition_of
from pipeline.store.rows import OffsetRangeRow, RawEventRow
from pipeline.stream.moves import moved
from tests.oracle.event_set import Known
from tests.oracle.table import Table

TOPIC = "events"
PARTITIONS = 2
TWENTY_MINUTES = 1_200_000_000  # from record to record: the hour of a row's key changes all the time
BEGAN = 1_700_000_000_000_000

Trace = tuple[str, str]  # project, trace or group of scores


class Log:
    """A topic: its records, who reads each partition, and how far that is committed."""

    def __init__(self) -> None:
        self.records: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.known: list[list[Known]] = [[] for _ in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS
        self.owners: list[object] = [None] * PARTITIONS
        self.count = PARTITIONS  # as workers are told

    def append(self, event: Event, value: bytes, count: int = 0) -> None:
        """What a producer does that knows of so many partitions, by default of as many as workers do."""
        key = record_key(event.project_id, event.trace_id)
        self._append(partition_of(key, count or self.count), key, value, ())

    def move(self, partition: int, record: Record) -> None:
        """What a worker does with a record that belongs elsewhere."""
        named = ((headers.MOVED, str(moved(record) + 1).encode()),)
        self._append(partition, record.key or b"", record.value or b"", named)

    def grow(self, partitions: int, owner: object) -> None:
        """More partitions, that somebody keeps."""
        for _ in range(partitions):
            self.records.append([])
            self.known.append([])
            self.committed.append(0)
            self.owners.append(owner)

    def _append(self, number: int, key: bytes, value: bytes, named: tuple[tuple[str, bytes], ...]) -> None:
        """The event that is kept is the one that is decoded from the record."""
        offset = len(self.records[number])
        timestamp = Micros(BEGAN + TWENTY_MINUTES * sum(map(len, self.records)))
        record = Record(TOPIC, number, offset, timestamp, key, value, named)
        [decoded] = decode_record(record, 2**20)
        self.records[number].append(record)
        self.known[number].append(Known(decoded, event_identity(decoded.event_id, value)))

    def traces(self, number: int, below: int | None = None) -> dict[Trace, list[Known]]:
        """The distinct events of each trace of a partition in the order of the log, those below an offset."""
        found: defaultdict[Trace, dict[tuple[str, bytes], Known]] = defaultdict(dict)
        for each in self.known[number][:below]:
            event = each.event
            found[event.project_id, event.trace_id].setdefault((event.event_id, each.identity), each)
        return {trace: list(events.values()) for trace, events in found.items()}

    def first_seen(self, number: int) -> dict[Trace, Micros]:
        """When the log took the first event of each trace."""
        found: dict[Trace, Micros] = {}
        for record, each in zip(self.records[number], self.known[number], strict=True):
            found.setdefault((each.event.project_id, each.event.trace_id), record.timestamp)
        return found


class Write(NamedTuple):
    """One insert."""

    table: str
    rows: Sequence[Any]


class Store:
    """Tables that outlive workers. `late` are inserts under way when their worker died: they may still arrive."""

    def __init__(self) -> None:
        self.archive: dict[Trace, list[RawEventRow]] = defaultdict(list)
        self.table = Table()
        self.ranges: list[OffsetRangeRow] = []
        self.late: list[Write] = []

    def apply(self, write: Write) -> None:
        """Make rows durable. No row may tell of events that are not archived (the archive is written first)."""
        for row in write.rows:
            if isinstance(row, RawEventRow):
                self.archive[row.project_id, row.trace_id].append(row)
            elif isinstance(row, OffsetRangeRow):
                self.ranges.append(row)
            else:
                archived = len(self.events((row.project_id, row.trace_id)))
                assert archived >= row.row_version // 2 or not row.trace_id, f"not archived: {row}"
                self.table.write([row])

    def outcomes(self, number: int) -> dict[int, tuple[str, int, str]]:
        """What the ledger says of each offset of a partition, as told last: project, minute (microseconds), outcome."""
        told: dict[int, tuple[str, int, str]] = {}
        for each in self.ranges:
            if each.partition == number:
                offsets = each.offsets or list(range(each.first, each.last + 1))
                places = each.places or [0] * len(offsets)
                assert len(places) == len(offsets) == each.records == sum(each.amounts)
                for offset, place in zip(offsets, places, strict=True):
                    told[offset] = (each.projects[place], each.minutes[place], each.outcomes[place])
        return told

    def events(self, trace: Trace) -> list[RawEventRow]:
        """The distinct archived events of a trace, each by its first place in the log, in the archive's order."""
        first: dict[tuple[str, bytes], RawEventRow] = {}
        for row in sorted(self.archive.get(trace, ()), key=lambda row: (row.timestamp, row.offset), reverse=True):
            first[row.event_id, row.identity] = row
        by_entity = sorted(first.values(), key=lambda row: (row.entity_id, row.event_id, row.identity))
        return sorted(by_entity, key=lambda row: row.kind, reverse=True)

    def archived_from(self, number: int) -> Iterator[Trace]:
        """Traces that have an archived event from a partition."""
        yield from (trace for trace, rows in self.archive.items() if any(row.partition == number for row in rows))

    def at_home(self, number: int, partitions: int) -> Iterator[Trace]:
        """Archived traces whose home is this partition of so many."""
        yield from (trace for trace in self.archive if partition_of(record_key(*trace), partitions) == number)

    def is_settled(self, trace: Trace) -> bool | None:
        """What the newest trace row says; None where there is none."""
        row = self.table.rows.get(("traces", trace))
        return None if row is None else bool(row.version % 2)
