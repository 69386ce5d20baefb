"""Nothing that arrives stops a worker: headers that Kafka's client cannot read, events that our own code fails on."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.events import headers
from pipeline.ops.lag import read_lag
from tests.faults.chaos.gate import CALM, TcpGate, Trouble
from tests.fixtures.captures import Outgoing, langfuse_record, produce
from tests.fixtures.odd_records import Name
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack, WorkerProcess, environment

pytestmark = pytest.mark.stack

TRACES = 6
GOOD = list(create_update_traffic(TRACES * 17))
ODD = (Name(b"caf\xe9"), b"1")
FAULTY = """
from pipeline.cli import main
from pipeline.fold.state import TraceState
from pipeline.stream import collect

fold, build = TraceState.fold, collect.build

def failing_fold(state, event, *rest):
    fold(state, event, *rest)
    if event.event_id.startswith("poison"):
        raise RuntimeError("cannot fold")

def failing_build(state, *rest):
    built = build(state, *rest)
    if state.trace_id == "unbuildable":
        raise RuntimeError("cannot build")
    return built

TraceState.fold, collect.build = failing_fold, failing_build
main()
"""


def span(event_id: str, trace: str, id_: str) -> Outgoing:
    body = {"id": id_, "traceId": trace, "name": "n", "endTime": "2026-11-20T12:00:01Z"}
    return langfuse_record({"id": event_id, "type": "span-create", "timestamp": "2026-11-20T12:00:00Z", "body": body})


PLAIN = [span(f"odd{number}", f"o{number}", "s") for number in range(4)]
ODDITIES = [record._replace(headers=(*record.headers, ODD)) for record in PLAIN]
MIXED = [span("before", "mixed", "a"), span("poison-1", "mixed", "b"), span("after", "mixed", "c")]
POISON = [*MIXED, span("x", "unbuildable", "a"), span("poison-2", "alone", "a")]


@pytest.fixture
def worker(stack: Stack) -> Iterator[WorkerProcess]:
    """Started before Kafka and the store are there: it says so, waits, and goes on when they are."""
    ports = {name: urlsplit(url).port or 0 for name, url in (
        ("kafka", f"//{stack.settings.kafka_bootstrap}"), ("store", stack.settings.clickhouse_url),
    )}  # fmt: skip
    with TcpGate(ports["kafka"]) as kafka, TcpGate(ports["store"]) as store:
        for gate in (kafka, store):
            gate.become(Trouble(refuses=True))
        settings = stack.settings.model_copy(
            update={
                "kafka_bootstrap": f"127.0.0.1:{kafka.port}", "clickhouse_url": f"http://127.0.0.1:{store.port}",
                "settle_quiet": 0.2, "settle_idle": 0.5,
            }
        )  # fmt: skip
        worker = WorkerProcess(settings, stack.directory, "faulty", program=("-c", FAULTY))
        worker.wait_for_log("waiting", "ClickHouse")
        store.become(CALM)
        worker.wait_for_log("waiting", "Kafka at", "does not answer")
        assert worker.process.poll() is None
        assert "Traceback" not in worker.log.read_text()
        kafka.become(CALM)
        worker.wait_ready()
        yield worker
        worker.stop()


def test_neighbours_are_stored_and_all_of_the_rest_is_archived_and_told_of(
    stack: Stack, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    produce(stack.settings, [*GOOD[:20], *ODDITIES[1:], *GOOD[20:50], *POISON, *GOOD[50:]])
    produce(stack.settings, ODDITIES[:1], stack.settings.overflow_topic)
    records = len(GOOD) + len(ODDITIES) + len(POISON)
    wait_until_stored(stack, records)
    wait_until_settled(stack)
    assert worker.process.poll() is None
    assert stack.count("SELECT count() FROM observations WHERE name LIKE 'step-%'") == TRACES * 8
    assert stack.count("SELECT count() FROM observations WHERE trace_id LIKE 'o%'") == 4, "odd headers do no harm"
    mixed = "SELECT count() FROM observations WHERE trace_id = 'mixed' AND observation_id IN ('a', 'c')"
    assert stack.count(mixed) == 2, "all of the trace but what fails"
    assert stack.count("SELECT count() FROM observations WHERE trace_id IN ('unbuildable', 'alone')") == 0
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == records, "all is archived"
    letters = asyncio.run(_letters(stack.settings))
    assert sorted(letters) == [
        ("fold_failed", "build", POISON[3].value),
        ("fold_failed", "fold", POISON[1].value), ("fold_failed", "fold", POISON[4].value),
    ]  # fmt: skip
    assert all(
        row.lag == 0 for row in asyncio.run(read_lag(stack.settings)) if row.topic == stack.settings.events_topic
    )
    ledger = CliRunner().invoke(app, ["ledger"], env=environment(stack.settings))
    assert ledger.exit_code == 0, ledger.output


async def _letters(settings: Settings) -> list[tuple[str, str, bytes]]:
    """Reason, stage and bytes of all dead letters."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    place, found = TopicPartition(settings.dead_letters_topic, 0), []
    async with consumer, asyncio.timeout(30):
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        while len(found) < end:
            record = await consumer.getone()
            said = dict(record.headers)
            found.append((said[headers.DEAD_REASON].decode(), said[headers.DEAD_STAGE].decode(), record.value))
    return found
