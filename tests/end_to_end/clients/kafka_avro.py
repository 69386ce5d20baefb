"""The scenario straight to Kafka as Avro (single-object encoding), with nothing but a Kafka client and the schemas."""

import asyncio
import io
import json
import os
from pathlib import Path
from typing import Any

import fastavro
from aiokafka import AIOKafkaProducer
from kafka_events import events

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
AS_TEXT = ("input", "output", "metadata", "model_parameters")  # JSON in a text field, stored as it is


def encoded(kind: str, event: dict[str, Any]) -> bytes:
    schema = fastavro.schema.load_schema(str(SCHEMAS / f"{kind.title()}Event.avsc"))
    mark = bytes.fromhex(fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    text = {
        name: json.dumps(event[name], ensure_ascii=False, separators=(",", ":")) for name in AS_TEXT if name in event
    }
    if isinstance(event.get("value"), str):
        text |= {"string_value": event["value"], "value": None}
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, event | text)
    return b"\xc3\x01" + mark + body.getvalue()


async def main() -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"], acks="all", enable_idempotence=True, linger_ms=20
    )
    async with producer:
        for kind, event in events(os.environ["SPANFOLD_PROJECT"]):
            key = f"{event['project_id']}/{event['trace_id']}".encode()
            await producer.send_and_wait(os.environ["KAFKA_TOPIC"], encoded(kind, event), key=key)


if __name__ == "__main__":
    asyncio.run(main())
