"""Re-pricing on the real engine: oracle totals, killed half-way and resumed, a second run, a worker beside it.

SPANFOLD_REPRICE_ROWS sets how many observations are priced again (1,000,000 prints the figures of docs/cost.md).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.cost.base import base_version
from pipeline.cost.document import parse_document
from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Micros
from pipeline.ops.reprice import pieces as pieces_module
from pipeline.ops.reprice.pieces import Scope
from pipeline.ops.reprice.run import Report, reprice
from pipeline.registry import open_registry
from pipeline.store.client import connect
from pipeline.store.migrate import migrate
from pipeline.store.native import encode
from pipeline.store.tables import OBSERVATIONS, TABLES, TRACES
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import observation_row, trace_row

ROWS = int(os.environ.get("SPANFOLD_REPRICE_ROWS", "3000"))
SPREAD = 10_000 if ROWS < 100_000 else 86_000  # seconds; each hour is a piece
PER_TRACE = 3  # a root span, a call that is priced, a call whose cost was given
DAY = datetime(2090, 1, 1, tzinfo=UTC)
SCOPE = Scope(DAY, DAY + timedelta(days=1))
PRICES = """
prices:
  - {id: contract, match: 'gpt-4o-2024-08-06', per_million: {input: 1, output: 4}}
"""
NEW = Decimal("0.000001") * 10 + Decimal("0.000004") * 5
OLD = Decimal("0.0000025") * 10 + Decimal("0.00001") * 5
GIVEN = Decimal("0.25")


@pytest.fixture
def settings(clickhouse: ClickHouseProcess, tmp_path: Path) -> Iterator[Settings]:
    """A database of its own, with a registry beside it."""
    made = Settings(data_dir=tmp_path, clickhouse_url=clickhouse.url, clickhouse_database=f"r{os.urandom(6).hex()}")
    migrate(made)
    yield made
    client = connect(made)
    client.command(f"DROP DATABASE {made.clickhouse_database} SYNC")
    client.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A client of that database."""
    made = connect(settings, timeout=600)
    yield made
    made.close()


def fill(client: Client, observations: int) -> None:
    """Traces as a worker with the first book has written them, spread over a day."""
    price = ObservationPricer()
    for start in range(0, observations // PER_TRACE, 20_000):
        traces, rows = [], []
        for number in range(start, min(start + 20_000, observations // PER_TRACE)):
            made = _trace(number, observations, price)
            traces.append(made[0])
            rows += made[1]
        _insert(client, OBSERVATIONS, rows)
        _insert(client, TRACES, traces)


def _insert(client: Client, table: str, rows: list[Any]) -> None:
    client.raw_insert(table, list(TABLES[table].columns), bytes(encode(TABLES[table], rows)), fmt="Native")


USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
GIVEN_COST: dict[str, Any] = {
    "usage": {}, "usage_provided": {}, "usage_source": "none", "usage_rule": "", "price_id": "", "model": "mine",
    "priced_model": "", "cost": {"total": GIVEN}, "total_cost": GIVEN, "cost_source": "provided",
}  # fmt: skip
NOTHING: dict[str, Any] = {**GIVEN_COST, "cost": {}, "total_cost": None, "cost_source": "none", "model": ""}
TOP: dict[str, Any] = {"parent_observation_id": "", "depth": 0, "path": ["root"], "child_count": 2}


def _trace(number: int, observations: int, price: ObservationPricer) -> tuple[Any, list[Any]]:
    at = int((DAY + timedelta(seconds=number * SPREAD * PER_TRACE // observations)).timestamp() * 1_000_000)
    id_ = f"trace-{number}"
    common: dict[str, Any] = {"trace_id": id_, "start_time": at, "first_seen": at, "row_version": 8}
    priced = price("project", {"model": "gpt-4o-2024-08-06", "usage": USAGE}, Micros(at))
    own = priced._asdict()
    del own["flags"]
    total = OLD + GIVEN
    tokens = {"subtree_tokens": 15}
    rows = [
        observation_row(observation_id="root", subtree_cost=total, **{**common, **NOTHING, **TOP, **tokens}),
        observation_row(observation_id="call", path=["root", "call"], subtree_cost=OLD, **common, **own, **tokens),
        observation_row(
            observation_id="given", path=["root", "given"], subtree_cost=GIVEN, **common, **GIVEN_COST, subtree_tokens=0
        ),
    ]
    cost = {**priced.cost, "total": total}
    changes = {**common, "row_version": 9, "usage": priced.usage, "cost": cost, "total_cost": total}
    return trace_row(observation_count=3, **changes), rows


def publish(settings: Settings, text: str = PRICES) -> int:
    registry = open_registry(settings.registry)
    plain = parse_document(text).model_dump(mode="json", by_alias=True)
    published, _ = registry.publish_prices(plain, base_version())
    registry.close()
    return published.epoch


def sums(client: Client) -> dict[str, Any]:
    names = ("observations", "calls", "roots", "traces", "history")
    queries = (
        "SELECT count(), sum(total_cost) FROM observations",
        "SELECT count(), sum(total_cost) FROM observations WHERE observation_id = 'call'",
        "SELECT count(), sum(subtree_cost) FROM observations WHERE observation_id = 'root'",
        "SELECT count(), sum(total_cost) FROM traces",
        "SELECT count(), sum(difference) FROM cost_history",
    )
    return {name: tuple(client.query(query).first_row) for name, query in zip(names, queries, strict=True)}


def expected(traces: int, call: Decimal, history: int) -> dict[str, Any]:
    return {
        "observations": (traces * PER_TRACE, traces * (call + GIVEN)),
        "calls": (traces, traces * call),
        "roots": (traces, traces * (call + GIVEN)),
        "traces": (traces, traces * (call + GIVEN)),
        "history": (history, history * (NEW - OLD)),
    }


def test_history_is_priced_again_exactly_once(settings: Settings, client: Client) -> None:
    traces = ROWS // PER_TRACE
    fill(client, ROWS)
    assert sums(client) == expected(traces, OLD, 0)
    publish(settings)
    began = time.perf_counter()
    dry = reprice(settings, SCOPE, dry_run=True)
    dry_seconds = time.perf_counter() - began
    assert (dry.rows_written, dry.traces_written) == (2 * traces, traces)
    assert dry.models["gpt-4o-2024-08-06"].new - dry.models["gpt-4o-2024-08-06"].old == traces * (NEW - OLD)
    assert sums(client) == expected(traces, OLD, 0)

    began = time.perf_counter()
    report = reprice(settings, SCOPE, wait=0, reason="contract of January")
    seconds = time.perf_counter() - began
    assert (report.rows_written, report.traces_written, report.overtaken) == (2 * traces, traces, [])
    assert sums(client) == expected(traces, NEW, traces)
    assert client.query("SELECT DISTINCT total_cost, cost['total'], usage['total'] FROM traces").result_rows == [
        (NEW + GIVEN, NEW + GIVEN, 15)
    ]
    old, new, reason = client.query("SELECT DISTINCT old_price_id, new_price_id, reason FROM cost_history").first_row
    assert (old, new, reason) == ("genai-prices:openai/gpt-4o#0", "entry:contract", "contract of January")
    kept = "SELECT DISTINCT dateDiff('day', repriced_at, expires_at) FROM cost_history_rows"
    assert client.query(kept).result_rows == [(401,)]  # 400 whole days, to the midnight after them

    began = time.perf_counter()
    again = reprice(settings, SCOPE, wait=0)
    second = time.perf_counter() - began
    print(f"\n{ROWS} rows: dry run {dry_seconds:.1f} s, run {seconds:.1f} s, second run {second:.1f} s")
    assert (again.rows_written, again.traces_written, again.epoch) == (0, 0, report.epoch)
    assert sums(client) == expected(traces, NEW, traces)


def test_what_else_a_row_says_stays_as_it_was(settings: Settings, client: Client) -> None:
    fill(client, 30)
    priced = {"usage", "usage_rule", "cost", "total_cost", "cost_source", "price_id", "priced_model", "subtree_cost"}
    whole = f"SELECT * EXCEPT ({', '.join([*priced, 'row_version', 'updated_at'])}) FROM observations ORDER BY ALL"
    before = client.query(whole).result_rows
    publish(settings)
    reprice(settings, SCOPE, wait=0)
    assert client.query(whole).result_rows == before
    versions = client.query(
        "SELECT observation_id, any(row_version) FROM observations GROUP BY 1 ORDER BY 1"
    ).result_rows
    assert versions == [("call", 2**40 + 8), ("given", 8), ("root", 2**40 + 8)]
    assert client.query("SELECT DISTINCT row_version, settled FROM traces").result_rows == [(2**40 + 9, True)]


def test_the_scope_chooses_traces(settings: Settings, client: Client) -> None:
    fill(client, 30)
    publish(settings)
    later = {"start": DAY + timedelta(days=1), "until": DAY + timedelta(days=2)}
    cases: list[tuple[dict[str, Any], int]] = [
        ({"project": "another"}, 0), ({"model": "gpt-5"}, 0), (later, 0),
        ({"project": "project"}, 20), ({"model": "gpt-4o-2024-08-06"}, 20), ({"model": "gpt-4o"}, 20),
    ]  # fmt: skip
    for changes, written in cases:
        scope = Scope(**{"start": SCOPE.start, "until": SCOPE.until, **changes})
        assert reprice(settings, scope, dry_run=True).rows_written == written, changes


def test_killed_half_way_and_resumed_gives_the_same(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = ROWS // PER_TRACE
    fill(client, ROWS)
    publish(settings)
    process = subprocess.Popen([sys.executable, "-c", _CHILD], env={**os.environ, **_environment(settings)})
    deadline = time.monotonic() + 60
    while client.query("SELECT count() FROM cost_history").first_row[0] == 0:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the condition is a row of another process
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    halfway = client.query("SELECT count() FROM cost_history").first_row[0]
    assert 0 < halfway < traces
    report = reprice(settings, SCOPE, wait=0)
    assert 0 < report.traces_written <= traces
    assert sums(client) == expected(traces, NEW, traces)
    assert reprice(settings, SCOPE, wait=0).rows_written == 0


_CHILD = f"""
from datetime import UTC, datetime, timedelta
from pipeline.config import Settings
from pipeline.ops.reprice import pieces
from pipeline.ops.reprice.run import reprice
pieces.PIECE_ROWS = 20
day = datetime.fromisoformat({DAY.isoformat()!r})
reprice(Settings(), pieces.Scope(day, day + timedelta(days=1)), wait=0)
"""


def _environment(settings: Settings) -> dict[str, str]:
    names = ("data_dir", "clickhouse_url", "clickhouse_database")
    return {f"SPANFOLD_{name.upper()}": str(getattr(settings, name)) for name in names}


def test_a_run_that_broke_off_before_the_traces_is_completed(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, 30)
    publish(settings)
    from pipeline.ops.reprice import write

    whole = write.Writer._rewrite

    def broken(self: write.Writer, table: str, *rest: Any) -> None:
        if table == TRACES:
            raise RuntimeError("power cut")
        whole(self, table, *rest)

    monkeypatch.setattr(write.Writer, "_rewrite", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        reprice(settings, SCOPE, wait=0)
    monkeypatch.setattr(write.Writer, "_rewrite", whole)
    reprice(settings, SCOPE, wait=0)
    assert sums(client) == expected(10, NEW, 10)


def test_a_fuller_row_that_a_worker_writes_meanwhile_wins(settings: Settings, client: Client) -> None:
    fill(client, 30)
    epoch = publish(settings)

    def late(*_: object) -> None:
        changes = {"first_seen": _first(client), "row_version": epoch * 2**40 + 10, "total_cost": Decimal(7)}
        row = observation_row(trace_id="trace-0", observation_id="call", **changes)
        _insert(client, OBSERVATIONS, [row])

    reprice(settings, SCOPE, wait=0, progress=late)
    query = "SELECT total_cost, row_version FROM observations WHERE trace_id = 'trace-0' AND observation_id = 'call'"
    assert client.query(query).result_rows == [(Decimal(7), epoch * 2**40 + 10)]


def _first(client: Client) -> int:
    query = "SELECT toUnixTimestamp64Micro(first_seen) FROM traces WHERE trace_id = 'trace-0'"
    return int(client.query(query).first_row[0])


def test_a_fuller_row_under_an_older_book_is_named(settings: Settings, client: Client) -> None:
    fill(client, 30)
    publish(settings)

    def stale(done: int, of: int, report: Report) -> None:
        if done == of:
            _insert(client, TRACES, [trace_row(trace_id="trace-0", first_seen=_first(client), row_version=20)])

    assert reprice(settings, SCOPE, wait=0, progress=stale).overtaken == [("project", "trace-0")]


def test_a_book_that_was_just_published_is_waited_for(settings: Settings, client: Client) -> None:
    publish(settings)
    began = time.monotonic()
    reprice(settings, SCOPE, wait=1.0)
    assert 0.5 <= time.monotonic() - began < 10


def test_pieces_hold_every_trace_once(settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_module, "PIECE_ROWS", 7)
    fill(client, 60)
    publish(settings)
    assert len(pieces_module.pieces(client, SCOPE)) > 3
    assert reprice(settings, SCOPE, wait=0).traces_written == 20
    assert sums(client) == expected(20, NEW, 20)
