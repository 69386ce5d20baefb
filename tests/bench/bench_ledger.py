"""What ledger and audit cost the store: a day of events made by SQL, then each query with its time and its memory.

`python -m tests.bench.bench_ledger [EVENTS]`; 10,000,000 events take about two minutes and 2 GB of disk. A trace has 8
events: 4 observations of two events each. Chunks are of 40 records from 4 partitions and 3 projects.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from pipeline.audit import suspects
from pipeline.audit.scope import Recent
from pipeline.audit.scope import Scope as AuditScope
from pipeline.ops.bench.machine import describe_machine
from pipeline.ops.ledger import read
from pipeline.ops.ledger.read import Scope
from pipeline.store.client import connect
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated, settings_for

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
TOPIC = "spanfold.events"
EACH = 8  # events of a trace
CHUNK = 40
PARTITIONS = 4

# n is the number of an event; events of a trace are neighbours in time and in one partition.
TRACE = f"intDiv(n, {EACH})"
AT = "fromUnixTimestamp64Micro({start} + toInt64(n * 86400000000 / {events}))"
SEEN = "fromUnixTimestamp64Micro({start} + toInt64(intDiv(n, 8) * 8 * 86400000000 / {events}))"
PROJECT = f"concat('project-', toString({TRACE} % 3))"
PLACE = f"{TRACE} % {PARTITIONS}"
OFFSET = f"intDiv({TRACE}, {PARTITIONS}) * {EACH} + n % {EACH}"

FILL = {
    "raw_events": f"""
        INSERT INTO raw_events (project_id, trace_id, trace_hash, event_id, identity, kind, entity_id, content_type,
            value, receiver, received_at, topic, partition, offset, position, timestamp, first_seen)
        SELECT {PROJECT}, hex(sipHash128({TRACE})), sipHash64({TRACE}), hex(sipHash128(n)), sipHash128(n),
            'observation', hex(sipHash64({TRACE}, n % 4)), 'json', repeat('x', 20), 'ingestion', {AT},
            '{TOPIC}', {PLACE}, {OFFSET}, 0, {AT}, {SEEN}
        FROM (SELECT number AS n FROM numbers({{events}}))
    """,
    "observations_rows": f"""
        INSERT INTO observations_rows (project_id, trace_id, observation_id, first_seen, row_version)
        SELECT {PROJECT}, hex(sipHash128({TRACE})), hex(sipHash64({TRACE}, n % 4)), {SEEN}, {2 * EACH}
        FROM (SELECT number AS n FROM numbers({{events}}) WHERE number % {EACH} < 4)
    """,
    "traces_rows": f"""
        INSERT INTO traces_rows (project_id, trace_id, first_seen, row_version, observation_count)
        SELECT {PROJECT}, hex(sipHash128({TRACE})), {SEEN}, {2 * EACH + 1}, 4
        FROM (SELECT number AS n FROM numbers({{events}}) WHERE number % {EACH} = 0)
    """,
    "offset_ranges": f"""
        INSERT INTO offset_ranges (topic, partition, first, last, records, events, new, stored_at, projects, receivers,
            minutes, outcomes, amounts, places)
        SELECT '{TOPIC}', part, first, first + {CHUNK - 1}, {CHUNK}, {CHUNK}, {CHUNK}, at + INTERVAL 1 SECOND,
            ['project-0', 'project-1', 'project-2'], arrayResize(['ingestion'], 3, 'ingestion'),
            arrayResize([toDateTime64(toStartOfMinute(at), 6, 'UTC')], 3, toDateTime64(toStartOfMinute(at), 6, 'UTC')),
            arrayResize(['stored'], 3, 'stored'), arrayMap(p -> countEqual(places, p), [0, 1, 2]),
            arrayMap(o -> toUInt16((intDiv(first + o, {EACH}) * {PARTITIONS} + part) % 3), range({CHUNK})) AS places
        FROM
        (
            SELECT number % {PARTITIONS} AS part, intDiv(number, {PARTITIONS}) * {CHUNK} AS first,
                fromUnixTimestamp64Micro({{start}} + toInt64(number * {CHUNK} * 86400000000 / {{events}})) AS at
            FROM numbers(toUInt64({{events}} / {CHUNK}))
        )
    """,
}


def main(events: int) -> None:
    """Fill, ask, print."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # into files, too
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        server = ClickHouseProcess(Path(folder))
        server.start()
        Store.process = Path(f"/proc/{server.pid}")
        try:
            with migrated(server.url, "bench"):
                client = connect(settings_for(server.url, "bench"), timeout=600.0)
                fill(client, events)
                ask(client, events)
                client.close()
        finally:
            server.stop()


def fill(client: Client, events: int) -> None:
    """A day."""
    start = int(DAY.timestamp()) * 1_000_000
    for table, sql in FILL.items():
        client.command(sql.format(events=events, start=start), settings={"max_partitions_per_insert_block": 0})
        size, rows = client.query(
            "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts"
            " WHERE active AND database = 'bench' AND table = %(table)s",
            parameters={"table": table},
        ).result_rows[0]
        print(f"{table}: {rows} rows, {size / events:.2f} bytes for each event")
    extra = client.query(
        "SELECT sum(column_data_compressed_bytes) FROM system.parts_columns WHERE active AND database = 'bench'"
        " AND table = 'offset_ranges'"
        " AND column IN ('projects', 'receivers', 'minutes', 'outcomes', 'amounts', 'places', 'offsets')"
    ).result_rows[0][0]
    print(f"of offset_ranges, by project and minute: {extra / events:.2f} bytes for each event")


def ask(client: Client, events: int) -> None:
    """Each query, for the day and for what the running check asks."""
    end = DAY + timedelta(days=1)
    for name, scope in (("a day", Scope(TOPIC, DAY, end)), ("an hour", Scope(TOPIC, end - timedelta(hours=1), end))):
        measure(f"ledger, {name}: coverage", partial(read.covered, client, scope))
        measure(f"ledger, {name}: outcomes", partial(read.accounted, client, scope))
        measure(f"ledger, {name}: archive", partial(read.archived, client, scope))
        measure(f"ledger, {name}: moved copies", partial(read.arrived, client, scope))
    noon = DAY + timedelta(hours=12)
    limits = dict.fromkeys(range(PARTITIONS), events // PARTITIONS // 2)
    past = Scope(TOPIC, noon - timedelta(hours=1), noon, limits=limits)
    measure("ledger, an hour at noon: coverage", partial(read.covered, client, past))
    measure("ledger, an hour at noon: outcomes", partial(read.accounted, client, past))
    measure("ledger, an hour at noon: the same without --to", partial(read.accounted, client, replace(past, limits={})))
    whole = AuditScope(DAY, end)
    pieces = suspects.pieces(client, whole, datetime.now(UTC))
    measure(f"audit, a day: {len(pieces)} pieces", lambda: [suspects.suspects(client, each) for each in pieces])
    measure("audit, a day: two keys", lambda: list(suspects.split(client, whole, events // EACH)))
    last = events // PARTITIONS
    minute = dict.fromkeys(range(PARTITIONS), (last - last // 1440, last))

    def recent() -> Any:
        where: Recent = suspects.recent(client, TOPIC, minute)
        return suspects.suspects(client, where)

    print(recent().traces, "traces in the last minute")
    measure("audit, the last minute", recent)
    where = suspects.recent(client, TOPIC, minute)
    measure("audit, the last minute: a hundredth of its traces", partial(suspects.sample, client, where, 0.01, 1000))


def measure(what: str, question: Callable[[], Any]) -> None:
    """Milliseconds of the second time, and how many MB the store grew by while it was asked."""
    question()
    before = Store.remember()
    began = time.perf_counter()
    question()
    took = (time.perf_counter() - began) * 1000
    print(f"{what}: {took:.0f} ms, {max(Store.peak() - before, 0):.0f} MB", flush=True)


class Store:
    """The server's process, as /proc tells of it."""

    process = Path()

    @classmethod
    def remember(cls) -> float:
        """MB that it holds now; the peak begins anew."""
        (cls.process / "clear_refs").write_text("5")
        return cls._megabytes("VmRSS:")

    @classmethod
    def peak(cls) -> float:
        """MB since then, at most."""
        return cls._megabytes("VmHWM:")

    @classmethod
    def _megabytes(cls, name: str) -> float:
        lines = (cls.process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
