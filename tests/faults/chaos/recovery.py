"""Seconds to recover: until all that was sent before is visible, and what is sent now is visible within two seconds.

Measured from the end of a fault; from its beginning where it is a death, whose end is the recovery. What counts is
what an analyst sees: rows in the views, a trace's row once it was made from all of the trace's events.
"""

import time
from collections.abc import Set

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from tests.faults.chaos.bed import Bed
from tests.faults.chaos.load import Load, probe_number

LOOK_EVERY = 0.2  # seconds
EVENTS_OF = "toUInt64(intDiv(row_version % pow(2, 40), 2))"


def wait_until_recovered(bed: Bed, load: Load, since: float, before: Set[int], fresh: float, within: float) -> float:
    """Seconds from `since` (monotonic); the traces numbered so were begun `before` that moment.

    `fresh`: how old the oldest invisible probe may be. Raises AssertionError after `within` seconds.
    """
    while True:
        now = time.monotonic()
        assert now - since < within, f"not recovered within {within:g} s: {_missing(bed, load, before, fresh)}"
        try:
            if not _missing(bed, load, before, fresh):
                return now - since
        except (ClickHouseError, HTTPError, OSError):
            pass  # the store is not back yet, so nothing has recovered
        time.sleep(LOOK_EVERY)


def _missing(bed: Bed, load: Load, before: Set[int], fresh: float) -> str:
    """What keeps it from being recovered; empty when nothing does."""
    now = time.monotonic()
    visible = _visible_probes(bed, load)
    late = [number for number, (sent, _) in list(load.probes.items()) if sent < now - fresh and number not in visible]
    if late:
        return f"{len(late)} probes are not visible, the first after {now - load.probes[late[0]][0]:.1f} s"
    told = _told(bed, load)
    incomplete = [number for number in before if told.get(number, 0) < len(load.records[number])]
    return f"{len(incomplete)} traces are not complete" if incomplete else ""


def _visible_probes(bed: Bed, load: Load) -> set[int]:
    sql = f"SELECT trace_id FROM observations WHERE startsWith(trace_id, '{load.prefix}') AND name = 'probe'"
    numbers = (probe_number(str(id_)) for (id_,) in bed.stack.client.query(sql).result_rows)
    return {number for number in numbers if number is not None}


def _told(bed: Bed, load: Load) -> dict[int, int]:
    """Trace number -> events that its row was made from."""
    sql = f"SELECT trace_id, {EVENTS_OF} FROM traces WHERE startsWith(trace_id, '{load.prefix}')"
    return {int(str(id_)[16:], 16): int(events) for id_, events in bed.stack.client.query(sql).result_rows}
