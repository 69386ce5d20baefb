"""I5 on the real stack: broken records and refused rows become dead letters, in the topic and in the table; their
neighbours are stored; letters are sent again by command. And a worker that stops instead of making letters of all."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.avro_schemas import MAGIC
from pipeline.events.canonical import to_canonical_json
from pipeline.events.model import Event, Kind, Micros
from pipeline.local.kafka import LocalKafka
from pipeline.ops.lag import read_lag
from pipeline.store.native import encode
from pipeline.store.rows import RawEventRow
from pipeline.store.tables import RAW_EVENTS, TABLES
from pipeline.stream.exits import EXIT_STOPPED
from tests.fixtures.captures import PROJECT, Outgoing, produce
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.store import NOW, raw_event_row
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_for, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack, WorkerProcess, environment, new_stack

pytestmark = pytest.mark.stack

TRACES = 5
GOOD = list(create_update_traffic(TRACES * 17))
REFUSED = 2 * TRACES  # events of observations that are created and updated
REFUSE = "ALTER TABLE observations_rows ADD CONSTRAINT refused CHECK name != 'step-3'"
KEY = f"{PROJECT}/somewhere".encode()
LANGFUSE = (headers.CONTENT_TYPE, headers.LANGFUSE_JSON)
OURS = (headers.PROJECT, PROJECT.encode())
BROKEN = {
    "unknown_format": Outgoing(KEY, b"\x01garbage", (("twice", b"1"), ("twice", b""), ("none", None))),
    "malformed": Outgoing(KEY, b'{"half": ', (LANGFUSE, OURS)),
    "invalid": Outgoing(KEY, b'{"id":"x","type":"span-create","timestamp":"yesterday","body":{}}', (LANGFUSE, OURS)),
    "unknown_schema": Outgoing(KEY, MAGIC + b"\x01\x02\x03\x04\x05\x06\x07\x08rest"),
    "missing_key": Outgoing(None, b'{"kind":"trace"}'),
    "key_mismatch": Outgoing(
        KEY, b'{"kind":"trace","project_id":"p","trace_id":"other","event_id":"e","at":1700000000000000}'
    ),
    "no_project": Outgoing(KEY, b"{}", (LANGFUSE,)),
    "too_large": Outgoing(KEY, b'{"x":"' + b"y" * 5_000_000 + b'"}', (LANGFUSE, OURS)),
    "empty": Outgoing(KEY, b""),
}


@pytest.fixture(scope="module")
def letters(
    kafka: LocalKafka, clickhouse: ClickHouseProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack with a worker and an evaluator that was sent what is broken, what is refused and what is good."""
    with closing(new_stack(kafka, clickhouse, tmp_path_factory.mktemp("letters") / "stack")) as stack:
        stack.client.command(REFUSE)
        stack.worker(settle_quiet=0.2)
        stack.worker("tables", role="evaluate")
        produce(stack.settings, [*GOOD[:40], *BROKEN.values(), *GOOD[40:]])
        wait_for(stack, "SELECT count() FROM dead_letters", len(BROKEN) + REFUSED)
        wait_until_stored(stack, len(GOOD) + len(BROKEN))
        yield stack


def test_broken_messages_are_dead_letters_and_their_neighbours_are_stored(letters: Stack) -> None:
    stack = letters
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(GOOD)
    assert stack.count("SELECT sum(rejected) FROM offset_ranges") == len(BROKEN)
    assert stack.count("SELECT count() FROM observations") == TRACES * 7, "one of eight is refused"
    by_reason = {
        _header(letter, headers.DEAD_REASON): letter
        for letter in asyncio.run(_read(stack.settings))
        if _header(letter, headers.DEAD_STAGE) == "decode"
    }
    assert by_reason.keys() == BROKEN.keys()
    for reason, sent in BROKEN.items():
        letter = by_reason[reason]
        assert letter.value == sent.value, "a dead letter keeps the original bytes"
        assert letter.key == sent.key
        assert _header(letter, headers.DEAD_TOPIC) == stack.settings.events_topic
        assert _header(letter, headers.DEAD_OFFSET).isdigit()
        assert _header(letter, headers.DEAD_DETAIL)


def test_broken_messages_are_in_the_table_as_they_were(letters: Stack) -> None:
    what = "SELECT reason, key, value, header_names, header_values, topic, state, attempts FROM dead_letters"
    formats: dict[str, str | dict[str, str]] = {"key": "bytes", "value": "bytes", "header_values": "bytes"}
    rows = letters.client.query(f"{what} WHERE stage = 'decode'", column_formats=formats).result_rows
    assert len(rows) == len(BROKEN)
    for reason, key, value, names, values, *rest in rows:
        sent = BROKEN[reason]
        assert (key, value) == (sent.key, sent.value)
        assert list(zip(names, values, strict=True)) == list(sent.headers)
        assert rest == [letters.settings.events_topic, "open", 1]


def test_letters_of_refused_rows_are_stored_by_a_replay_and_a_second_one_changes_nothing(letters: Stack) -> None:
    stack, records = letters, len(GOOD) + len(BROKEN)
    stack.client.command("ALTER TABLE observations_rows DROP CONSTRAINT refused")
    assert dlq(stack, "replay", "--reason", "store_refused") == {
        "chosen": REFUSED, "replayed": REFUSED, "skipped": 0, "failed": 0,
    }  # fmt: skip
    wait_until_stored(stack, records + REFUSED)
    wait_until_settled(stack)
    rows = digest(stack)
    assert rows["observations"][0] == TRACES * 8
    dlq(stack, "replay", "--reason", "store_refused", "--state", "any")
    wait_until_stored(stack, records + 2 * REFUSED)
    wait_until_settled(stack)
    assert digest(stack) == rows
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(GOOD)
    assert stack.count("SELECT sum(duplicate) FROM offset_ranges") == 2 * REFUSED
    assert stack.count("SELECT count() FROM dead_letters WHERE state = 'open'") == len(BROKEN)


def test_what_fails_again_is_another_letter_that_tells_of_the_first(letters: Stack) -> None:
    [first] = dlq(letters, "ls", "--reason", "malformed")
    dlq(letters, "replay", first["id"])
    wait_for(letters, "SELECT count() FROM dead_letters WHERE reason = 'malformed'", 2)
    [second] = dlq(letters, "ls", "--reason", "malformed")
    assert (second["attempts"], second["replay_of"]) == (2, first["id"])
    assert second["first_failed_at"] == first["failed_at"] < second["failed_at"]
    contents = [dlq(letters, "show", letter["id"]) for letter in (first, second)]
    assert contents[0]["value"] == contents[1]["value"]
    assert contents[0]["headers"] == contents[1]["headers"][:2]
    assert dlq(letters, "discard", second["id"]) == {"discarded": 1}
    assert dlq(letters, "ls", "--reason", "malformed") == []


def test_a_worker_that_cannot_read_what_was_read_before_stops_and_loses_nothing(stack: Stack) -> None:
    archived = [_archived(project, number) for project in ("one", "two") for number in range(20)]
    table = TABLES[RAW_EVENTS]
    stack.client.raw_insert(table.name, list(table.columns), bytes(encode(table, archived)), fmt="Native")
    produce(stack.settings, GOOD[:1] * 200)  # of one partition: one chunk
    worker = WorkerProcess(stack.settings.model_copy(update={"max_event_bytes": 10}), stack.directory, "bad")
    assert worker.process.wait(timeout=30) == EXIT_STOPPED
    log = worker.log.read_text()
    assert "worker_stopped" in log
    assert "2 of 2 projects" in log
    assert "cannot be decoded now: too_large 40" in log
    assert {row.committed for row in asyncio.run(read_lag(stack.settings))} == {None}
    assert asyncio.run(_end_of(stack.settings, stack.settings.dead_letters_topic)) == 0


def _archived(project: str, number: int) -> RawEventRow:
    event = Event(project, "trace", Kind.TRACE, "trace", f"e{number}", Micros(NOW), {"name": "n"})
    content_type = headers.CANONICAL_JSON.decode()
    return raw_event_row(f"e{number}", to_canonical_json(event), project_id=project, content_type=content_type)


def dlq(stack: Stack, *arguments: str) -> Any:
    """What the command prints with --json."""
    outcome = CliRunner().invoke(app, ["dlq", *arguments, "--json"], env=environment(stack.settings))
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


async def _end_of(settings: Settings, topic: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap) as consumer:
        place = TopicPartition(topic, 0)
        ends = await consumer.end_offsets([place])
        return int(ends[place])


def _header(letter: ConsumerRecord, name: str) -> str:
    return str(dict(letter.headers)[name].decode())


async def _read(settings: Settings) -> list[ConsumerRecord]:
    """All that is in the dead-letter topic."""
    end = await _end_of(settings, settings.dead_letters_topic)
    consumer = AIOKafkaConsumer(
        settings.dead_letters_topic,
        bootstrap_servers=settings.kafka_bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 * 2**20,
    )
    async with consumer, asyncio.timeout(30):
        return [await consumer.getone() for _ in range(end)]
