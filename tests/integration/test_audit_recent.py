"""What the running audit reads each minute: the archive of that minute, not all that was ever archived."""

import asyncio
import uuid

from pipeline.audit.suspects import recent, sql
from pipeline.store.insert import Inserter
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, migrated, offset_range_row, raw_event_row

TOPIC = "spanfold.events"
HOUR = 3_600_000_000  # microseconds
OLD, NEW = 30_000, 50
FILL = """
    INSERT INTO raw_events SELECT one.* REPLACE(
        toString(n) AS trace_id, n AS offset, fromUnixTimestamp64Micro({at}) AS timestamp,
        fromUnixTimestamp64Micro({at}) AS first_seen)
    FROM (SELECT * FROM raw_events LIMIT 1) AS one, (SELECT number AS n FROM numbers({first}, {count})) AS many
"""


def test_what_is_older_is_not_read(clickhouse: ClickHouseProcess) -> None:
    name = f"recent_{uuid.uuid4().hex}"
    with migrated(clickhouse.url, name) as client:
        row = raw_event_row()._replace(topic=TOPIC, partition=0, offset=0, timestamp=NOW, first_seen=NOW)
        asyncio.run(Inserter(client).insert("raw_events", [row], "first"))
        client.command("SYSTEM STOP MERGES raw_events")  # the store merges what is new with what is old much later
        client.command(FILL.format(at=NOW, first=1, count=OLD - 1))
        client.command(FILL.format(at=NOW + 12 * HOUR, first=OLD, count=NEW))
        chunks = [
            offset_range_row(0, OLD - 1)._replace(topic=TOPIC, partition=0, minutes=[NOW]),
            offset_range_row(OLD, OLD + NEW - 1)._replace(topic=TOPIC, partition=0, minutes=[NOW + 12 * HOUR]),
        ]
        asyncio.run(Inserter(client).insert("offset_ranges", chunks, "chunks"))
        where = recent(client, TOPIC, {0: (OLD, OLD + NEW)})
        assert where.hours == ((NOW + 12 * HOUR) // 1_000_000,)
        everything = recent(client, TOPIC, {0: (0, OLD + NEW)})
        assert everything.hours == (NOW // 1_000_000, *where.hours)
        look = "EXPLAIN ESTIMATE " + sql("recent_hours").format(recent=where.condition())
        [(_, _, _, rows, _)] = client.query(look, parameters=where.parameters()).result_rows
        assert NEW <= rows < OLD / 10
        client.command(f"DROP DATABASE {name} SYNC")
