"""The traces of the explainer read back with its figures, exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.fixtures.captures import Outgoing, langfuse_record, produce
from tests.fixtures.views import wait_until_stored
from tests.fixtures.worker import Stack

pytestmark = pytest.mark.stack

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
Step = tuple[str, str, int, str | None]  # name, event type, milliseconds, USD

RAG: list[Step] = [
    ("embedding", "embedding-create", 50, "0.0001"),
    ("vector-search", "retriever-create", 100, None),
    ("rerank", "span-create", 200, None),
    ("answer", "generation-create", 1500, "0.004"),
]
CONCEPT: list[Step] = [
    ("retrieval", "retriever-create", 250, "0.0003"),
    ("llm", "generation-create", 800, "0.0015"),
    ("email_user", "tool-create", 50, "0.0002"),
]


def test_rag_trace_takes_1850_ms_and_costs_0_0041(stack: Stack) -> None:
    assert _read_back(stack, "rag", RAG) == (1850.0, Decimal("0.0041"), "SUCCESS", 4)


def test_core_concept_trace_takes_1_1_s_and_costs_0_002(stack: Stack) -> None:
    assert _read_back(stack, "concept", CONCEPT) == (1100.0, Decimal("0.002"), "SUCCESS", 3)


def _read_back(stack: Stack, trace_id: str, steps: list[Step]) -> tuple[object, ...]:
    records = list(_records(trace_id, steps))
    stack.worker()
    produce(stack.settings, reversed(records))
    wait_until_stored(stack, len(records))
    return tuple(stack.client.query("SELECT latency_ms, total_cost, status, observation_count FROM traces").first_row)


def _records(trace_id: str, steps: list[Step]) -> list[Outgoing]:
    body: dict[str, object] = {"id": trace_id, "name": trace_id, "timestamp": START.isoformat()}
    events = [{"id": "t", "type": "trace-create", "timestamp": START.isoformat(), "body": body}]
    at = START
    for name, kind, milliseconds, usd in steps:
        end = at + timedelta(milliseconds=milliseconds)
        times = {"startTime": at.isoformat(), "endTime": end.isoformat()}
        cost = {"costDetails": {"total": float(usd)}} if usd else {}
        body = {"id": name, "traceId": trace_id, "name": name, **times, **cost}
        events.append({"id": f"e-{name}", "type": kind, "timestamp": at.isoformat(), "body": body})
        at = end
    return [langfuse_record(event) for event in events]
