"""How long the views take to answer over HTTP, on generated observations of which two days have not merged.

Prints the best of three for each query; times of one machine say little about another. Scratch data is removed.
`python -m tests.bench.bench_views [OBSERVATIONS]` (default 2,000,000, which takes about a minute and 1 GB of disk)
"""

import sys
import tempfile
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import migrated

DAYS = 30
START = "toDateTime64('2090-01-01 00:00:00', 6, 'UTC')"
REPEATS = 3

OBSERVATIONS = """
INSERT INTO observations_rows
    (project_id, trace_id, observation_id, type, start_time, first_seen, row_version, model, priced_model, environment,
     prompt_name, prompt_version, trace_name, user_id, session_id, tags, release, usage, total_cost, input, output)
SELECT
    'p' || toString(chance % 3), 't' || toString(trace), toString(number), if(is_call, 'GENERATION', 'SPAN'),
    {start} + toIntervalDay({day}) + toIntervalMillisecond(chance % 86000000) AS start, start, 2,
    if(is_call, 'model-' || toString(cityHash64(number) % 12), '') AS model, model,
    ['default', 'staging', 'production'][chance % 3 + 1],
    if(is_call, 'prompt-' || toString(cityHash64(number) % 30), ''), if(is_call, number % 5, NULL),
    'trace-' || toString(chance % 40), 'user-' || toString(chance % 20000), 'session-' || toString(intDiv(trace, 3)),
    ['tag-' || toString(chance % 25), 'tag-' || toString(25 + chance % 9)],
    toString({day}), if(is_call, map('input', 500, 'output', 100, 'total', 600), map()),
    if(is_call, toDecimal64(0.001, 12) * (number % 17), NULL), randomPrintableASCII(200), randomPrintableASCII(200)
FROM (
    SELECT
        number + {day} * {count} AS number, intDiv(number, 20) AS trace, cityHash64(trace) AS chance,
        number % 4 = 0 AS is_call
    FROM numbers({count})
)
"""
NEW_VERSIONS = """
INSERT INTO observations_rows SELECT * REPLACE (row_version + 2 AS row_version) FROM observations_rows FINAL
WHERE first_seen >= {start} + toIntervalDay({days} - 2) AND cityHash64(observation_id) % 4 = 0
"""
TRACES = """
INSERT INTO traces_rows
    (project_id, trace_id, user_id, session_id, start_time, first_seen, row_version, observation_count, total_tokens,
     total_cost, status)
SELECT
    project_id, trace_id, any(user_id), any(session_id), min(start_time), any(first_seen), 2, count(),
    sum(usage['total']), sum(observations.total_cost), 'SUCCESS'
FROM observations GROUP BY project_id, trace_id
"""
TREE = """
INSERT INTO observations_rows
    (project_id, trace_id, observation_id, parent_observation_id, start_time, first_seen, row_version)
SELECT
    'p', '{trace}', toString(number), if(number = 0, '', toString({parent})),
    {start} + toIntervalMicrosecond(number), {start}, 2
FROM numbers({count})
"""
TREES = (
    ("small", 20, "intDiv(number - 1, 3)"),
    ("fan", 100_000, "0"),
    ("chain", 5_000, "number - 1"),
    ("chain with leaves", 100_000, "if(number < 5000, number - 1, number % 5000)"),
    ("random", 100_000, "cityHash64(number) % number"),
    ("long chain", 100_000, "number - 1"),
)
RANGES = (
    ("one project, 7 days", "project_id = 'p1' AND day >= '2090-01-24'"),
    ("one project, 30 days", "project_id = 'p1'"),
    ("all projects, 30 days", "1"),
)
SUMS = "SELECT day, {by}, sum(calls), sum(total_tokens), sum(total_cost) FROM {view} WHERE {where} GROUP BY day, {by}"
PEOPLE = (
    ("users of a project", "SELECT * FROM users WHERE project_id = 'p1' ORDER BY total_cost DESC LIMIT 20"),
    ("one user", "SELECT * FROM users WHERE project_id = 'p1' AND user_id = 'user-7'"),
    ("sessions of a project", "SELECT * FROM sessions WHERE project_id = 'p1' ORDER BY last_seen DESC LIMIT 20"),
    ("one session", "SELECT * FROM sessions WHERE project_id = 'p1' AND session_id = 'session-7'"),
)


def main() -> None:
    """Fill a scratch store and time the queries."""
    observations = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    with tempfile.TemporaryDirectory() as directory:
        server = ClickHouseProcess(Path(directory))
        server.start()
        try:
            with migrated(server.url, "bench") as client:
                _fill(client, observations)
                _measure(client)
        finally:
            server.stop()


def _fill(client: Client, observations: int) -> None:
    client.command("SYSTEM STOP MERGES observations_rows")
    for day in range(DAYS):
        client.command(OBSERVATIONS.format(start=START, day=day, count=observations // DAYS))
    for _ in range(4):
        client.command(NEW_VERSIONS.format(start=START, days=DAYS))
    client.command(TRACES)
    for trace, count, parent in TREES:
        client.command(TREE.format(trace=trace, count=count, parent=parent, start=START))


def _measure(client: Client) -> None:
    for trace, count, _ in TREES:
        query = f"SELECT position, depth, name FROM trace_tree(project = 'p', trace = '{trace}')"
        _time(client, f"trace_tree: {trace}, {count} observations", query)
    for name, where in RANGES:
        for by in ("model", "user_id", "session_id"):
            _time(client, f"cost_by {by}: {name}", SUMS.format(by=by, view="cost_by", where=where))
        _time(client, f"cost_by_tag: {name}", SUMS.format(by="tag", view="cost_by_tag", where=where))
    for name, query in PEOPLE:
        _time(client, name, query)


def _time(client: Client, name: str, query: str) -> None:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.monotonic()
        rows = client.query(query).row_count
        best = min(best, time.monotonic() - start)
    print(f"{best * 1000:7.0f} ms  {name} ({rows} rows)")


if __name__ == "__main__":
    main()
