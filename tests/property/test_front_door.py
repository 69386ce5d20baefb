"""Whatever comes to the front door: an event is taken or refused with a reason, nothing else happens (I5)."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import headers
from pipeline.ingest.accept import record_headers
from pipeline.ingest.answers import (
    ApiError,
    EnvelopeError,
    EventError,
    InvalidBodyError,
    batch_answer,
    invalid_answer,
)
from pipeline.ingest.auth import Principal, parse_credentials
from pipeline.ingest.envelope import split_batch
from pipeline.ingest.judge import Accepted, judge
from pipeline.ingest.scores import SCORE
from pipeline.ingest.single import ROUTES
from pipeline.ingest.wrap import split_objects, wrap
from pipeline.registry import Organization, Project

PRINCIPAL = Principal(Project("p", "p", Organization("o", "o"), datetime.now(UTC)), "project")
COMMON = record_headers("p", b"test", headers.LANGFUSE_JSON)
KINDS = [*ROUTES.values(), SCORE]
KEYS = [
    "id", "traceId", "type", "name", "startTime", "endTime", "timestamp", "metadata", "input", "output", "level",
    "usage", "usageDetails", "costDetails", "modelParameters", "promptVersion", "tags", "public", "environment",
    "value", "dataType", "sessionId", "datasetRunId", "observationId", "spanId", "generationId", "configId",
    "entityId", "parentObservationId", "body",
]  # fmt: skip
WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2026-11-23T08:58:22Z", "NUMERIC", "TEXT", "ERROR", "SPAN", 10**400, "\ud800", "\x00", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=6,
)
BODIES = st.dictionaries(st.sampled_from(KEYS), WILD, max_size=8)


def dumped(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")


def damaged(raw: bytes, data: st.DataObject) -> bytes:
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 3)) if raw else 0):
        changed[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


def check(judged: Accepted | EventError) -> None:
    """What is refused can be told; what is accepted goes to Kafka under a key of its project."""
    if isinstance(judged, EventError):
        assert judged.error
        assert 400 <= judged.status < 500
        assert batch_answer([], [judged]).body
    elif judged.record is not None:
        assert judged.record.key.startswith(b"p/")
        assert msgspec.json.decode(judged.record.value, type=dict)
        assert batch_answer([judged.event_id, judged.entity_id], []).body


@settings(max_examples=200)
@given(st.sampled_from(KINDS), BODIES, st.booleans(), st.data())
def test_a_single_object_is_taken_or_refused(
    kind: Any, body: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    raw = damaged(dumped(body, ascii_only), data)
    try:
        wrapped = wrap("p", kind, raw)
    except InvalidBodyError as error:
        assert invalid_answer([str(error)]).body
        return
    check(judge(PRINCIPAL, wrapped, 100_000, COMMON))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(KINDS), BODIES), max_size=3), st.booleans(), st.data())
def test_every_event_of_a_batch_is_taken_or_refused(
    said: list[tuple[Any, dict[str, Any]]], ascii_only: bool, data: st.DataObject
) -> None:
    events = [
        {"id": f"e{n}", "type": kind.type, "timestamp": "2026-11-23T08:58:22Z", "body": body}
        for n, (kind, body) in enumerate(said)
    ]
    whole = dumped({"batch": events}, ascii_only)
    raw = damaged(whole, data)
    try:
        found = asyncio.run(split_batch(raw))
    except EnvelopeError as error:
        assert str(error)
        assert raw != whole
        return
    assert raw != whole or len(found) == len(events)
    for event in found:
        check(judge(PRINCIPAL, event, 100_000, COMMON))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_never_crash(raw: bytes) -> None:
    check(judge(PRINCIPAL, raw, 100_000, COMMON))
    for split in (split_objects, lambda body: wrap("p", SCORE, body)):
        try:
            split(raw)
        except InvalidBodyError as error:
            assert str(error)


@given(st.text(max_size=60) | st.builds("Basic {}".format, st.text(max_size=40)) | st.none())
def test_any_authorization_is_read_or_refused(header: str | None) -> None:
    try:
        assert parse_credentials(header).public_key
    except ApiError as error:
        assert error.status == 401
