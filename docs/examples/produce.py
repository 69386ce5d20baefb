"""Write observations straight to Kafka: no HTTP, no SDK, only a Kafka client and the published schema.

    python docs/examples/produce.py --bootstrap localhost:9092 --project my-project
    python docs/examples/produce.py --format json --count 1000

Each trace is one answered question of a RAG application, in ten steps. What matters for a producer of your own: all
records of a trace have the key PROJECT/TRACE, and ids stay the same when you send again. See schemas/README.md.
"""

import argparse
import asyncio
import io
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
from aiokafka import AIOKafkaProducer

SCHEMA = fastavro.schema.load_schema(str(Path(__file__).resolve().parents[2] / "schemas" / "ObservationEvent.avsc"))
FINGERPRINT = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(SCHEMA), "CRC-64-AVRO")
IN_FLIGHT = 1_000  # records

# type, name, place of the parent in this list, start and end in milliseconds, model, tokens in and out
STEPS = [
    ("AGENT", "answer-question", None, 0, 2_400, None, 0, 0),
    ("GENERATION", "rewrite-question", 0, 0, 310, "gpt-4o-mini", 180, 24),
    ("CHAIN", "search", 0, 310, 690, None, 0, 0),
    ("EMBEDDING", "embed-question", 2, 310, 370, "text-embedding-3-small", 24, 0),
    ("RETRIEVER", "vector-search", 2, 370, 460, None, 0, 0),
    ("RETRIEVER", "keyword-search", 2, 370, 440, None, 0, 0),
    ("TOOL", "rerank", 2, 460, 690, None, 0, 0),
    ("GENERATION", "answer", 0, 690, 1_990, "gpt-4o", 2_150, 240),
    ("GUARDRAIL", "check-citations", 0, 1_990, 2_010, None, 0, 0),
    ("GENERATION", "suggest-follow-ups", 0, 2_010, 2_400, "gpt-4o-mini", 420, 60),
]


def trace(project: str, number: int) -> Iterator[dict[str, Any]]:
    """One event per finished step; a field that is not known is left out."""
    trace_id, ids, began = uuid.uuid4().hex, [uuid.uuid4().hex[:16] for _ in STEPS], datetime.now(UTC)
    for place, (kind, name, parent, start, end, model, tokens_in, tokens_out) in enumerate(STEPS):
        event: dict[str, Any] = {
            "project_id": project,
            "trace_id": trace_id,
            "observation_id": ids[place],
            "event_id": f"{ids[place]}-end",
            "at": began + timedelta(milliseconds=end),
            "type": kind,
            "name": name,
            "start_time": began + timedelta(milliseconds=start),
            "end_time": began + timedelta(milliseconds=end),
            "input": f"Question {number}: what is the notice period?",
            "output": "Three months to the end of a quarter [2].",
            "metadata": json.dumps({"step": place}),
        }
        if parent is None:
            event |= {"trace_name": "rag", "user_id": f"user-{number % 50}", "session_id": f"session-{number % 200}"}
        else:
            event["parent_observation_id"] = ids[parent]
        if model:
            event |= {"model": model, "usage": {"input": tokens_in, "output": tokens_out}}
        yield event


def to_avro(event: dict[str, Any]) -> bytes:
    """Avro single-object encoding: C3 01, the schema's fingerprint, the record."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, SCHEMA, event)
    return b"\xc3\x01" + bytes.fromhex(FINGERPRINT) + buffer.getvalue()


def to_json(event: dict[str, Any]) -> bytes:
    """The same event as one JSON object, which says its kind; here metadata is an object, not text."""
    event = event | {"kind": "observation", "metadata": json.loads(event["metadata"])}
    return json.dumps(event, default=datetime.isoformat).encode()


async def produce(options: argparse.Namespace) -> None:
    encode = to_avro if options.format == "avro" else to_json
    headers = [("content-type", f"application/vnd.spanfold.event+{options.format}".encode())]
    traces = range(-(-options.count // len(STEPS)))
    events = (event for number in traces for event in trace(options.project, number))
    # With acks=all and idempotence a retry after a lost answer writes nothing twice.
    client = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=20
    )
    async with client:
        began, waiting = time.monotonic(), []
        for sent, event in zip(range(1, options.count + 1), events, strict=False):
            key = f"{event['project_id']}/{event['trace_id']}".encode()
            waiting.append(await client.send(options.topic, encode(event), key=key, headers=headers))
            if len(waiting) == IN_FLIGHT or sent == options.count:
                await asyncio.gather(*waiting)  # sent means acknowledged
                waiting.clear()
                print(f"\r{sent:,} of {options.count:,} acknowledged", end="", flush=True)
    seconds = time.monotonic() - began
    print(f"\n{options.count / seconds:,.0f} observations a second as {options.format}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write observations of made-up RAG traces to Kafka.")
    parser.add_argument("--bootstrap", default="localhost:9092", help="host:port of a broker")
    parser.add_argument("--project", default="demo", help="the project's id")
    parser.add_argument("--topic", default="spanfold.events")
    parser.add_argument("--count", type=int, default=10_000, help="observations, ten to a trace")
    parser.add_argument("--format", choices=["avro", "json"], default="avro")
    asyncio.run(produce(parser.parse_args()))


if __name__ == "__main__":
    main()
