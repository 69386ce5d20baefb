"""Which records are archived from other offsets than their own: read in the log, looked up by their events."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.events.decode import decode_record, header
from pipeline.events.headers import PROJECT
from pipeline.events.keys import event_identity
from pipeline.events.model import Record
from pipeline.events.reasons import DecodeError
from pipeline.ops.ledger import read
from pipeline.ops.ledger.balance import Slot
from pipeline.ops.ledger.log import Log

NO_LIMIT = 2**62  # bytes


class Elsewhere(NamedTuple):
    """Offsets whose events the archive has from other offsets, and those that this version cannot read."""

    archived: set[int]
    unreadable: set[int]


async def archived_elsewhere(log: Log, client: Client, slot: Slot, offsets: Iterable[int]) -> Elsewhere:
    """Look these offsets of a slot up. What the log has let go is in neither set."""
    identities: dict[int, set[tuple[str, str, str, bytes]]] = {}
    unreadable: set[int] = set()
    async for record in log.at(slot.partition, offsets):
        try:
            events = decode_record(record, NO_LIMIT)
        except DecodeError:
            unreadable.add(record.offset)  # stored by another version of the code, or moved as it was and rejected
            continue
        value = record.value or b""
        identities[record.offset] = {
            (event.project_id, event.trace_id, event.event_id, event_identity(event.event_id, value))
            for event in events
        }
    traces = sorted({(each[0], each[1]) for some in identities.values() for each in some})
    there = await asyncio.to_thread(read.archived_anywhere, client, traces)
    return Elsewhere({offset for offset, some in identities.items() if some and some <= there}, unreadable)


def project_of(record: Record) -> str:
    """As the header tells, else as the key begins, else nobody's."""
    named = header(record, PROJECT)
    if named is not None:
        return named.decode(errors="replace")
    project, slash, _ = (record.key or b"").partition(b"/")
    return project.decode(errors="replace") if slash else ""
