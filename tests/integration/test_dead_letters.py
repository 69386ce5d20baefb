"""I5: broken Kafka messages become dead letters with reason and place; their neighbours are stored."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from pipeline.config import Settings
from pipeline.events import headers
from pipeline.events.avro_schemas import MAGIC
from tests.fixtures.captures import PROJECT, Outgoing, produce
from tests.fixtures.traffic import create_update_traffic
from tests.fixtures.views import wait_for, wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

KEY = f"{PROJECT}/somewhere".encode()
LANGFUSE = (headers.CONTENT_TYPE, headers.LANGFUSE_JSON)
OURS = (headers.PROJECT, PROJECT.encode())
BROKEN = {
    "unknown_format": Outgoing(KEY, b"\x01garbage"),
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


def test_broken_messages_are_dead_letters_and_their_neighbours_are_stored(stack: Stack) -> None:
    good = list(create_update_traffic(170))
    mixed = good[:80] + list(BROKEN.values()) + good[80:]
    stack.worker()
    produce(stack.settings, mixed)
    wait_until_stored(stack, len(mixed))
    assert stack.count("SELECT uniqExact(event_id) FROM raw_events") == len(good)
    assert stack.count("SELECT sum(rejected) FROM offset_ranges") == len(BROKEN)
    letters = asyncio.run(_read(stack.settings, len(BROKEN)))
    by_reason = {_header(letter, headers.DEAD_REASON): letter for letter in letters}
    assert by_reason.keys() == BROKEN.keys()
    for reason, sent in BROKEN.items():
        letter = by_reason[reason]
        assert letter.value == sent.value, "a dead letter keeps the original bytes"
        assert letter.key == sent.key
        assert _header(letter, headers.DEAD_TOPIC) == stack.settings.events_topic
        assert _header(letter, headers.DEAD_OFFSET).isdigit()
        assert _header(letter, headers.DEAD_DETAIL)
    _all_of_them_are_in_the_table(stack)


def _all_of_them_are_in_the_table(stack: Stack) -> None:
    """The evaluator's process copies the topic."""
    stack.worker("tables", role="evaluate")
    wait_for(stack, "SELECT count() FROM dead_letters", len(BROKEN))
    what = "SELECT reason, key, value, header_names, header_values, topic, state, attempts FROM dead_letters"
    formats = {"key": "bytes", "value": "bytes", "header_values": "bytes"}
    for reason, key, value, names, values, *rest in stack.client.query(what, column_formats=formats).result_rows:
        sent = BROKEN[reason]
        assert (key, value) == (sent.key, sent.value)
        assert list(zip(names, values, strict=True)) == list(sent.headers)
        assert rest == [stack.settings.events_topic, "open", 1]


def _header(letter: ConsumerRecord, name: str) -> str:
    return dict(letter.headers)[name].decode()


async def _read(settings: Settings, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        settings.dead_letters_topic,
        bootstrap_servers=settings.kafka_bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 * 2**20,
    )
    async with consumer, asyncio.timeout(30):
        return [await consumer.getone() for _ in range(count)]
