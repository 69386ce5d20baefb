"""Single objects become events: bytes kept, ids derived, nothing of the envelope to be taken over by a body."""

import json

import pytest

from pipeline.events import keys
from pipeline.events.langfuse import langfuse_events, parse_langfuse
from pipeline.events.model import Event
from pipeline.ingest.answers import InvalidBodyError
from pipeline.ingest.wrap import Kind, split_objects, wrap

SCORE = Kind("score-create", timed=True)
SPAN = Kind("span-create")
SPAN_UPDATE = Kind("span-update", id_key="spanId")
GENERATION_UPDATE = Kind("generation-update", id_key="generationId")
EVENT = Kind("event-create", makes_id=True)


def read(raw: bytes) -> Event:
    (event,) = langfuse_events("p", parse_langfuse(raw))
    return event


def test_the_bytes_of_the_object_stay_as_they_came() -> None:
    body = b'{ "name" : "n",\n "traceId":"t", "input": 1.50e1 }'
    assert b'"body":' + body + b"}" in wrap("p", SPAN, body)


def test_a_score_sent_again_is_the_same_event_and_at_its_own_time() -> None:
    body = b'{"traceId":"t","name":"n","value":1,"timestamp":"2026-11-23T08:56:19.325472Z"}'
    assert wrap("p", SCORE, body, 0) == wrap("p", SCORE, body, 7)
    assert read(wrap("p", SCORE, body)).at == 1_795_424_179_325_472
    assert wrap("other", SCORE, body) != wrap("p", SCORE, body)


def test_equal_objects_of_one_array_without_a_time_are_two_scores() -> None:
    body = b'{"traceId":"t","name":"n","value":1}'
    first, second = read(wrap("p", SCORE, body, 0)), read(wrap("p", SCORE, body, 1))
    assert first.entity_id != second.entity_id


@pytest.mark.parametrize("body", [b'{"spanId":"s1"}', b'{"id":null,"spanId":"s1"}', b'{"id":"s1"}'])
def test_an_update_names_its_span_as_clients_do(body: bytes) -> None:
    assert read(wrap("p", SPAN_UPDATE, body)).entity_id == "s1"


@pytest.mark.parametrize(("kind", "key"), [(SPAN_UPDATE, "spanId"), (GENERATION_UPDATE, "generationId")])
def test_an_update_without_its_id_says_which_key_is_missing(kind: Kind, key: str) -> None:
    with pytest.raises(InvalidBodyError, match=f"{key}: required"):
        wrap("p", kind, b'{"name":"n"}')


def test_an_event_without_an_id_gets_a_derived_one() -> None:
    raw = wrap("p", EVENT, b'{"traceId":"t","name":"cache hit"}')
    assert read(raw).entity_id == keys.derived_id("p", json.loads(raw)["id"])


def test_an_id_in_the_body_beats_one_in_the_envelope() -> None:
    raw = wrap("p", EVENT, b'{"id":"mine","traceId":"t"}')
    assert b"entityId" not in raw
    assert read(raw).entity_id == "mine"


@pytest.mark.parametrize(
    "body",
    [b"", b"1", b"null", b"[]", b'"x"', b"{", b'{"a":1},"type":"sdk-log"', b'{}{"id":"x"}', b'{"a":NaN}', b"\xff",
     b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
)  # fmt: skip
def test_what_is_no_object_is_refused_and_cannot_leave_the_envelope(body: bytes) -> None:
    with pytest.raises(InvalidBodyError):
        wrap("p", SPAN, body)


@pytest.mark.parametrize("body", [b"{}", b"[1", b"[1,]", b"", b"[]x", b"[" * 100_000])
def test_what_is_no_array_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBodyError):
        for item in split_objects(body):
            wrap("p", SCORE, item)
        assert body == b"[" * 100_000
