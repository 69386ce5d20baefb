"""What the store in memory answers where the stream asks ClickHouse (pipeline.store.lookups)."""

from array import array
from collections.abc import Iterator, Sequence

from pipeline.events.keys import trace_hash
from pipeline.store import lookups
from tests.oracle.durable import Store


def known_trace_hashes(store: Store, _topic: str, number: int, partitions: int) -> "array[int]":
    """What the archive holds of a partition, and of the traces that are at home there."""
    traces = {*store.archived_from(number), *store.at_home(number, partitions)}
    return array("Q", sorted(trace_hash(*trace) for trace in traces))


def open_traces(
    store: Store, number: int, partitions: int, limit: int, after: tuple[str, str] = ("", "")
) -> list[lookups.OpenTrace]:
    """Traces whose newest row says that they are open."""
    open_ = [trace for trace in store.at_home(number, partitions) if trace > after and store.is_settled(trace) is False]
    rows = store.table.rows
    return [
        lookups.OpenTrace(*trace, rows["traces", trace].said["status"] != "RUNNING") for trace in sorted(open_)[:limit]
    ]


def read_back(store: Store, keys: Sequence[tuple[str, str]]) -> Iterator[lookups.RawEvent]:
    """Distinct events, trace by trace."""
    for trace in sorted(keys):
        for row in store.events(trace):
            yield lookups.RawEvent(*(getattr(row, name) for name in lookups.RawEvent._fields))


def read_back_observations(store: Store, trace: tuple[str, str], ids: Sequence[str]) -> Iterator[lookups.RawEvent]:
    """Distinct events of some observations of a trace."""
    yield from (raw for raw in read_back(store, [trace]) if raw.kind == "observation" and raw.entity_id in ids)


def read_back_entities(store: Store, entities: Sequence[lookups.Entity]) -> Iterator[lookups.RawEvent]:
    """Distinct events of some entities; of a trace that has none of its entity, its first event."""
    for entity in entities:
        events = list(read_back(store, [entity[:2]]))
        own = [raw for raw in events if (raw.kind, raw.entity_id) == entity[2:]]
        yield from own or sorted(events, key=lambda raw: (raw.timestamp, raw.offset))[:1]


def stored_traces(
    store: Store, keys: Sequence[tuple[str, str]], _first_seen: object
) -> dict[tuple[str, str], lookups.StoredTrace]:
    """What the newest trace rows say of themselves."""
    rows = {trace: store.table.rows.get(("traces", trace)) for trace in keys}
    return {
        trace: lookups.StoredTrace(*trace, row.first_seen, row.version, bool(row.version % 2))
        for trace, row in rows.items()
        if row is not None and not row.is_deleted
    }
