"""The entry point of decoding: the order of checks, the choice of a codec, and the key that must fit."""

from typing import Any

import orjson
import pytest

from pipeline.events import headers, keys
from pipeline.events.avro import encode
from pipeline.events.canonical import parse_canonical_json
from pipeline.events.decode import decode_record
from pipeline.events.model import Kind, Micros, Record
from pipeline.events.reasons import DecodeError, Reason

CANONICAL = orjson.dumps(
    {"kind": "observation", "project_id": "p", "trace_id": "t", "observation_id": "o", "event_id": "e", "at": 5}
)
EVENT = parse_canonical_json(CANONICAL)
AVRO = encode(EVENT)
LANGFUSE = orjson.dumps(
    {"id": "e", "type": "trace-create", "timestamp": "2026-03-04T05:06:07Z", "body": {"id": "t", "name": "chat"}}
)
OTHERS = ((headers.RECEIVER, b"kafka"), (headers.RECEIVED_AT, b"5"))


def record(value: bytes | None, *pairs: tuple[str, bytes], key: bytes | None = b"p/t") -> Record:
    return Record("spanfold.events", 0, 7, Micros(9), key, value, (*OTHERS, *pairs))


def content(kind: bytes) -> tuple[str, bytes]:
    return headers.CONTENT_TYPE, kind


def reason(given: Record, max_bytes: int = 1000) -> Reason:
    with pytest.raises(DecodeError) as caught:
        decode_record(given, max_bytes)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "kind"), [(CANONICAL, headers.CANONICAL_JSON), (AVRO, headers.CANONICAL_AVRO)], ids=["json", "avro"]
)
def test_a_canonical_event_is_told_by_its_header_or_by_its_first_bytes(value: bytes, kind: bytes) -> None:
    assert decode_record(record(value, content(kind)), 1000) == [EVENT]
    assert decode_record(record(value), 1000) == [EVENT]
    assert decode_record(record(value, content(b"application/json")), 1000) == [EVENT]


def test_a_langfuse_event_takes_its_project_from_the_header() -> None:
    pairs = content(headers.LANGFUSE_JSON), (headers.PROJECT, b"p")
    [event] = decode_record(record(LANGFUSE, *pairs), 1000)
    assert (event.project_id, event.trace_id, event.kind, event.fields["name"]) == ("p", "t", Kind.TRACE, "chat")


def test_a_langfuse_event_without_a_project_is_refused() -> None:
    assert reason(record(LANGFUSE, content(headers.LANGFUSE_JSON))) is Reason.NO_PROJECT
    assert reason(record(LANGFUSE, content(headers.LANGFUSE_JSON), (headers.PROJECT, b""))) is Reason.NO_PROJECT


def test_what_clients_log_gives_no_event() -> None:
    log = orjson.dumps({"id": "e", "type": "sdk-log", "timestamp": "2026-03-04T05:06:07Z", "body": {"log": 1}})
    assert decode_record(record(log, content(headers.LANGFUSE_JSON), (headers.PROJECT, b"p")), 1000) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (record(None, key=None), Reason.MISSING_KEY),
        (record(b"x" * 2000, key=b""), Reason.MISSING_KEY),
        (record(None), Reason.EMPTY),
        (record(b""), Reason.EMPTY),
        (record(b"x" * 1001), Reason.TOO_LARGE),
        (record(b"\x01\x00\x00\x00\x01x"), Reason.UNKNOWN_FORMAT),
        (record(b"\x00\x00\x00\x00\x01x"), Reason.UNKNOWN_SCHEMA),
        (record(b"\x00\x00\x00\x00\x01x", content(headers.CANONICAL_AVRO)), Reason.UNKNOWN_SCHEMA),
        (record(b"\x00\x00"), Reason.MALFORMED),
        (record(b" {}"), Reason.UNKNOWN_FORMAT),
        (record(b"\xc3"), Reason.UNKNOWN_FORMAT),
        (record(b"{"), Reason.MALFORMED),
        (record(AVRO, content(headers.CANONICAL_JSON)), Reason.MALFORMED),
        (record(CANONICAL, content(headers.CANONICAL_AVRO)), Reason.MALFORMED),
        (record(b"{}"), Reason.INVALID),
        (record(b"\xc3\x01" + b"\x00" * 8), Reason.UNKNOWN_SCHEMA),
        (record(CANONICAL, key=b"p/other"), Reason.KEY_MISMATCH),
        (record(AVRO, key=b"other/t"), Reason.KEY_MISMATCH),
        (record(CANONICAL, key=b"\xff"), Reason.KEY_MISMATCH),
    ],
)
def test_each_way_to_fail_has_its_reason_and_the_cheap_checks_come_first(given: Record, expected: Reason) -> None:
    assert reason(given) is expected


def test_the_limit_itself_is_allowed() -> None:
    assert decode_record(record(CANONICAL), len(CANONICAL)) == [EVENT]


def test_a_mismatch_says_both_keys() -> None:
    with pytest.raises(DecodeError, match=r"the key is p/other, its event needs p/t"):
        decode_record(record(CANONICAL, key=b"p/other"), 1000)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"trace_id": None}, f"p/{keys.derived_id('p', 'o')}"), ({"trace_id": "ü/x"}, "p/ü/x")],
)
def test_the_key_is_that_of_the_trace_which_the_event_belongs_to(change: dict[str, Any], key: str) -> None:
    value = orjson.dumps({**orjson.loads(CANONICAL), **change})
    assert len(decode_record(record(value, key=key.encode()), 1000)) == 1
    assert reason(record(value)) is Reason.KEY_MISMATCH
