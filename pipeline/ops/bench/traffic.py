"""Made-up traffic for the benchmark, a function of its arguments: what Langfuse's SDKs send for an agent's run.

A trace is one trace-create and eight observations in a tree (a span over seven generations of gpt-4o with usage), each
created and later updated: 17 events of about 1 KB. `open_traces` of them are in flight at once and take turns, as those
of many users do; with 1 each trace comes as a whole, which is the cheapest that traffic can be.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import orjson

from pipeline.events import headers
from pipeline.events.keys import derived_id, record_key

PROJECT = "bench"
OBSERVATIONS = 8
EVENTS_PER_TRACE = 1 + 2 * OBSERVATIONS
START = datetime(2026, 1, 1, tzinfo=UTC)

_TEXT = 554  # characters of an input or output: what makes an event 1,000 bytes on average
_HEADERS = (
    (headers.CONTENT_TYPE, headers.LANGFUSE_JSON),
    (headers.PROJECT, PROJECT.encode()),
    (headers.RECEIVER, b"ingestion"),
    (headers.RECEIVED_AT, b"1767225600000000"),
)


class Outgoing(NamedTuple):
    """One record for the events topic, as the front door would send it."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = _HEADERS


def whole_traces(events: int) -> int:
    """At least `events`, as a number of events that makes whole traces."""
    return -(-events // EVENTS_PER_TRACE) * EVENTS_PER_TRACE


def traffic(events: int, open_traces: int = 1) -> Iterator[Outgoing]:
    """`whole_traces(events)` records; `open_traces` traces take turns event by event."""
    numbers = iter(range(whole_traces(events) // EVENTS_PER_TRACE))
    while some := list(islice(numbers, open_traces)):
        for turn in zip(*(_trace(number) for number in some), strict=True):
            yield from turn


@lru_cache
def _words() -> str:
    """Text that looks like text to a compressor, the same at every run."""
    rng = random.Random(1)  # noqa: S311 - no secret
    lexicon = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 10))) for _ in range(2_000)]
    return " ".join(rng.choices(lexicon, k=50_000))


def _text(number: int, place: int) -> str:
    """The text at a place of a trace."""
    words = _words()
    at = (number * EVENTS_PER_TRACE + place) * 7_919 % (len(words) - _TEXT)
    return words[at : at + _TEXT]


def _trace(number: int) -> Iterator[Outgoing]:
    trace_id = derived_id("bench", str(number))
    key = record_key(PROJECT, trace_id)
    body = {
        "id": trace_id, "timestamp": _at(0), "name": "agent-run", "userId": f"user-{number % 1_000}",
        "sessionId": f"session-{number // 4}", "tags": ["bench", "agent"], "release": "1.4.2",
        "environment": "production", "metadata": {"region": "eu", "tier": number % 3},
        "input": {"question": _text(number, 0)},
    }  # fmt: skip
    yield _record(key, f"{trace_id}-t", "trace-create", 0, body)
    ids = [f"{trace_id[:16]}-{step}" for step in range(OBSERVATIONS)]
    for step, id_ in enumerate(ids):
        parent = ids[(step - 1) // 2] if step else None
        yield _record(
            key,
            f"{id_}-c",
            f"{_type(step)}-create",
            step,
            _create(trace_id, id_, parent, step, _text(number, 1 + step)),
        )
    for step, id_ in reversed(list(enumerate(ids))):
        body = _update(trace_id, id_, step, _text(number, 1 + OBSERVATIONS + step))
        yield _record(key, f"{id_}-u", f"{_type(step)}-update", 20 - step, body)


def _type(step: int) -> str:
    return "generation" if step else "span"


def _create(trace_id: str, id_: str, parent: str | None, step: int, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": id_, "traceId": trace_id, "parentObservationId": parent, "name": f"step-{step}", "startTime": _at(step),
        "environment": "production", "level": "DEFAULT", "metadata": {"attempt": 1, "node": f"node-{step}"},
    }  # fmt: skip
    if step:
        body |= {"model": "gpt-4o", "modelParameters": {"temperature": 0.2, "max_tokens": 800}}
    return body | {"input": [{"role": "user", "content": text}]}


def _update(trace_id: str, id_: str, step: int, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {"id": id_, "traceId": trace_id, "endTime": _at(20 - step), "metadata": {"finish": "stop"}}
    if step:
        used = {"input": 180 + step, "output": 90 + step, "total": 270 + 2 * step}
        body |= {"completionStartTime": _at(step + 1), "usage": {**used, "unit": "TOKENS"}, "usageDetails": used}
    return body | {"output": {"role": "assistant", "content": text}}


def _record(key: bytes, event_id: str, kind: str, second: int, body: dict[str, Any]) -> Outgoing:
    return Outgoing(key, orjson.dumps({"id": event_id, "type": kind, "timestamp": _at(second), "body": body}))


def _at(second: int) -> str:
    return (START + timedelta(seconds=second, microseconds=123_456)).isoformat().replace("+00:00", "Z")
