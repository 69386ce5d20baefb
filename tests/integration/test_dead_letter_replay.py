"""Dead letters sent again by command, on the real stack; and a worker that stops instead of making letters of all."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Settings
from pipeline.stream.app import EXIT_STOPPED
from tests.fixtures.captures import PROJECT, Outgoing, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import digest, wait_for, wait_until_settled, wait_until_stored
from tests.fixtures.worker import Stack, variables

pytestmark = pytest.mark.stack

TRACES = 5
REFUSED = "ALTER TABLE observations_rows ADD CONSTRAINT refused CHECK name != 'step-3'"
GARBAGE = Outgoing(f"{PROJECT}/t".encode(), b"\x01garbage", (("mine", b"1"), ("mine", b"2")))


def test_letters_of_refused_rows_are_stored_by_a_replay_and_a_second_one_changes_nothing(stack: Stack) -> None:
    stack.client.command(REFUSED)
    stack.worker(settle_quiet=0.2)
    stack.worker("tables", role="evaluate")
    records = [*create_update_traffic(TRACES * 17), GARBAGE]
    produce(stack.settings, records)
    letters = 2 * TRACES  # an observation is created and updated
    wait_for(stack, "SELECT count() FROM dead_letters WHERE reason = 'store_refused'", letters)
    stack.client.command("ALTER TABLE observations_rows DROP CONSTRAINT refused")
    assert stack.count("SELECT count() FROM observations") == TRACES * 7, "the neighbours are stored"

    assert dlq(stack, "replay", "--reason", "store_refused") == {
        "chosen": letters, "replayed": letters, "skipped": 0, "failed": 0,
    }  # fmt: skip
    wait_until_stored(stack, len(records) + letters)
    wait_until_settled(stack)
    rows = digest(stack)
    assert rows["observations"][0] == TRACES * 8
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == TRACES * 17

    dlq(stack, "replay", "--reason", "store_refused", "--state", "any")
    wait_until_stored(stack, len(records) + 2 * letters)
    wait_until_settled(stack)
    assert digest(stack) == rows
    assert stack.count("SELECT sum(duplicate) FROM offset_ranges") == 2 * letters
    assert stack.count("SELECT count() FROM dead_letters WHERE state = 'open'") == 1, "the garbage"
    _what_fails_again_is_another_letter(stack)


def _what_fails_again_is_another_letter(stack: Stack) -> None:
    [first] = dlq(stack, "ls")
    dlq(stack, "replay", first["id"])
    wait_for(stack, "SELECT count() FROM dead_letters WHERE reason = 'unknown_format'", 2)
    [second] = dlq(stack, "ls")
    assert (second["attempts"], second["replay_of"]) == (2, first["id"])
    assert second["first_failed_at"] == first["failed_at"] < second["failed_at"]
    contents = [dlq(stack, "show", letter["id"]) for letter in (first, second)]
    assert contents[0]["value"] == contents[1]["value"]
    assert contents[0]["headers"] == contents[1]["headers"][:2]
    assert dlq(stack, "discard", second["id"]) == {"discarded": 1}
    assert dlq(stack, "ls") == []


def test_a_worker_that_cannot_read_what_was_read_before_stops_and_loses_nothing(stack: Stack) -> None:
    records = list(create_update_traffic(20 * 17))
    before, after = records[: 10 * 17], records[10 * 17 :]
    good = stack.worker("good", instance_id="w")
    produce(stack.settings, before)
    wait_until_stored(stack, len(before))
    good.stop()
    bad = stack.worker("bad", instance_id="w", max_event_bytes=10)
    produce(stack.settings, after)
    assert bad.process.wait(timeout=30) == EXIT_STOPPED
    log = bad.log.read_text()
    assert "worker_stopped" in log
    assert "cannot be decoded now: too_large 20" in log
    stack.worker("corrected", instance_id="w")
    wait_until_stored(stack, len(records))
    assert stack.count("SELECT sum(new) FROM offset_ranges FINAL") == len(records), "none was committed in between"
    assert asyncio.run(_end_of(stack.settings, stack.settings.dead_letters_topic)) == 0


def dlq(stack: Stack, *arguments: str) -> Any:
    """What the command prints with --json."""
    outcome = CliRunner().invoke(app, ["dlq", *arguments, "--json"], env=variables(stack.settings))
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


async def _end_of(settings: Settings, topic: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap) as consumer:
        place = TopicPartition(topic, 0)
        ends = await consumer.end_offsets([place])
        return int(ends[place])
