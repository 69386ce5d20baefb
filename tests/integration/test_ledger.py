"""The ledger on a whole stack: all that came by HTTP and by Kafka adds up, and each loss is named where it was."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from pipeline.audit.run import Audit
from pipeline.audit.watch import Watch
from pipeline.cli import app
from pipeline.config import Settings
from pipeline.metrics import Metric, Metrics
from pipeline.ops.ledger.balance import Balance, Kind
from pipeline.ops.ledger.read import Scope
from pipeline.ops.ledger.run import take_balance
from tests.fixtures.captures import PROJECT, Outgoing, langfuse_record, produce
from tests.fixtures.front_door import PROJECT as HTTP_PROJECT
from tests.fixtures.front_door import healthy, running, span
from tests.fixtures.views import wait_for
from tests.fixtures.worker import Stack, environment

pytestmark = pytest.mark.stack


def event(number: int) -> Outgoing:
    body = {"id": f"kafka-{number}", "name": "n"}
    stamp = {"id": f"e-{number}", "type": "trace-create", "timestamp": "2026-11-20T12:00:00Z"}
    return langfuse_record({**stamp, "body": body})


async def send_over_http(settings: Settings, count: int) -> None:
    """Through a front door that stops then: what it has counted is told at the latest when it stops."""
    given = {name: getattr(settings, name) for name in ("kafka_bootstrap", "topic_prefix", "topic_partitions")}
    async with running(settings.data_dir, **given) as front:
        await healthy(front)
        answer = await front.send(*(span(number, trace=f"t{number}") for number in range(count)))
        assert answer.status_code == 207


async def send_in_a_transaction(settings: Settings, records: list[Outgoing]) -> None:
    """An offset without a record marks its end. Records lie where their traces are at home."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, transactional_id=settings.topic_prefix)
    async with producer, producer.transaction():
        for record in records:
            await producer.send_and_wait(
                settings.events_topic, record.value, key=record.key, headers=list(record.headers)
            )


def balance_of(stack: Stack) -> Balance:
    now = datetime.now(UTC)
    scope = Scope(stack.settings.events_topic, now - timedelta(hours=1), now + timedelta(minutes=1))
    return asyncio.run(take_balance(stack.settings, stack.client, scope))


def by_project(balance: Balance) -> dict[str, tuple[int, ...]]:
    """(at the edge, accepted, stored, duplicate, rejected, missing) of each project."""
    found: dict[str, tuple[int, ...]] = {}
    for line in balance.lines:
        counts = (line.edge, line.accepted, line.stored, line.duplicate, line.rejected, line.missing)
        before = found.get(line.project_id, (0,) * len(counts))
        found[line.project_id] = tuple(a + b for a, b in zip(before, counts, strict=True))
    return found


def command(stack: Stack, *how: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `spanfold ledger --json`."""
    done = CliRunner().invoke(app, ["ledger", "--json", *how], env=environment(stack.settings))
    assert done.stdout, done.exception
    return done.exit_code, json.loads(done.stdout)


def one_project_or_another_time(stack: Stack) -> None:
    """What is asked for and nothing else; also by the log's own index of times."""
    code, answer = command(stack, "--project", HTTP_PROJECT)
    assert (code, {line["project_id"] for line in answer["lines"]}) == (0, {HTTP_PROJECT})
    assert sum(line["stored"] for line in answer["lines"]) == 7
    then = [(datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (3, 2)]
    code, answer = command(stack, "--from", then[0], "--to", then[1])
    assert (code, answer["balanced"], answer["lines"], answer["findings"]) == (0, True, [], [])
    assert not any(answer["not_stored_yet"].values())


def test_everything_adds_up_and_each_loss_is_named_where_it_happened(stack: Stack) -> None:
    settings = stack.settings
    stack.worker()
    stack.worker("evaluator", role="evaluate")  # it copies the counts of the edge to their table
    asyncio.run(send_over_http(settings, 7))
    events = [event(number) for number in range(40)]
    bad = [Outgoing(f"{PROJECT}/bad-{number}".encode(), b"nonsense") for number in range(3)]
    produce(settings, [*events, *events[:5], *bad])
    asyncio.run(send_in_a_transaction(settings, [event(50), event(51)]))
    produce(settings, [event(60 + number) for number in range(20)])
    wait_for(stack, "SELECT sum(records) FROM offset_ranges FINAL", 7 + 48 + 2 + 20)
    wait_for(stack, "SELECT sum(arraySum(records)) FROM edge_counts FINAL", 7)

    good = balance_of(stack)
    deadline = time.monotonic() + 30
    while sum(good.behind.values()) > 2 and time.monotonic() < deadline:  # the commit comes after the ranges
        good = balance_of(stack)
    assert good.findings == []
    assert by_project(good) == {HTTP_PROJECT: (7, 7, 7, 0, 0, 0), PROJECT: (0, 70, 62, 5, 3, 0)}
    assert good.explained <= 2  # ends of the transaction, unless a chunk goes over them
    assert sum(good.behind.values()) <= 2

    one_project_or_another_time(stack)
    edge_counts_more_than_the_log(stack, 4)
    gone = one_record_leaves_the_archive(stack)
    [(partition, first, last)] = one_chunk_leaves_the_ledger(stack, gone[0])
    broken = balance_of(stack)
    found = {finding.kind: finding for finding in broken.findings}
    assert found.keys() == {Kind.NOT_IN_LOG, Kind.NOT_ARCHIVED, Kind.UNCOVERED}
    assert (found[Kind.NOT_IN_LOG].project_id, found[Kind.NOT_IN_LOG].records) == (HTTP_PROJECT, 4)
    lost = found[Kind.NOT_ARCHIVED]
    assert (lost.partition, lost.first, lost.last, lost.records) == (*gone, gone[1], 1)
    uncovered = [finding for finding in broken.findings if finding.kind is Kind.UNCOVERED]
    assert {finding.partition for finding in uncovered} == {partition}
    assert min(finding.first or 0 for finding in uncovered) == first
    assert max(finding.last or 0 for finding in uncovered) <= last
    for line in broken.lines:
        assert line.accepted == line.stored + line.duplicate + line.rejected + line.ignored + line.missing

    code, answer = command(stack)
    assert (code, answer["balanced"]) == (1, False)
    assert {each["kind"] for each in answer["findings"]} == {"not_in_log", "not_archived", "uncovered"}
    look(stack)


def edge_counts_more_than_the_log(stack: Stack, more: int) -> None:
    """As if Kafka had lost what it acknowledged."""
    stack.client.command(
        "INSERT INTO edge_counts SELECT * REPLACE("
        f"'lost' AS instance, [projects[1]] AS projects, [partitions[1]] AS partitions, [minutes[1]] AS minutes,"
        f" [{more}] AS records, [0] AS firsts, [0] AS lasts) FROM edge_counts LIMIT 1"
    )


def one_record_leaves_the_archive(stack: Stack) -> tuple[int, int]:
    """Its partition and offset."""
    [(partition, offset)] = stack.client.query(
        "SELECT partition, offset FROM raw_events WHERE event_id = 'e-65'"
    ).result_rows
    stack.client.command("DELETE FROM raw_events WHERE event_id = 'e-65'")
    return int(partition), int(offset)


def one_chunk_leaves_the_ledger(stack: Stack, not_of: int) -> list[tuple[int, int, int]]:
    """Partition, first and last offset of a chunk of another partition, without a record that came over HTTP."""
    found = stack.client.query(
        "SELECT partition, first, last FROM offset_ranges FINAL WHERE partition != %(partition)s"
        " AND NOT has(projects, %(http)s) ORDER BY first DESC, partition LIMIT 1",
        parameters={"http": HTTP_PROJECT, "partition": not_of},
    ).result_rows
    for partition, first, _ in found:
        stack.client.command(f"DELETE FROM offset_ranges WHERE partition = {partition} AND first = {first}")
    return [(int(a), int(b), int(c)) for a, b, c in found]


def look(stack: Stack) -> None:
    """The same by itself: metrics tell, and the audit looks at each trace once."""
    stack.client.command("DELETE FROM traces_rows WHERE trace_id = 'kafka-1'")
    metrics, audit = Metrics(), Audit(stack.settings)
    try:
        watch = Watch(stack.settings, metrics, audit)
        _, report = asyncio.run(watch.look())
        assert report.traces >= 60
        assert [each.trace_id for each in report.findings] == ["kafka-1"]
        assert metrics.value(Metric.LEDGER_MISSING, "not_in_log") == 4
        assert metrics.value(Metric.LEDGER_MISSING, "not_archived") == 1
        assert metrics.value(Metric.AUDIT_WRONG, "missing_events") == 1
        _, again = asyncio.run(watch.look())
        assert again.traces == 0  # nothing new
        watch.forget()
        assert metrics.value(Metric.LEDGER_MISSING, "not_in_log") == 0  # whoever looks now tells
    finally:
        audit.close()
