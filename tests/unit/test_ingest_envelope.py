"""Cutting a batch into events: the bytes stay, and one broken event does not hide its neighbours."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.answers import UNKNOWN_ID, EnvelopeError
from pipeline.ingest.envelope import split_batch
from pipeline.ingest.tolerant import readable_id, split_tolerant

GOOD = b'{ "id":"e2", "x" : 1.50 }'
BROKEN = {
    "not a number": b'{"id":"e1","x":NaN}',
    "lone surrogate": b'{"id":"e1","x":"\\ud800"}',
    "control character": b'{"id":"e1","x":"a\x01b"}',
    "too deep": b'{"id":"e1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "invalid UTF-8": b'{"id":"e1","x":"\xff\xfe"}',
    "escaped quotes": b'{"id":"e1","x":"a\\"],[{\\\\","y":NaN}',
    "bare word": b'{"id":"e1","x":nothing}',
}


async def test_events_keep_their_bytes() -> None:
    odd = b'{"a" : 1.0e2, "b":"\\u00e9",\n "a":2}'
    assert await split_batch(b'{"metadata":{"batch":[1]},"batch":[ ' + odd + b" , " + GOOD + b"]}") == [odd, GOOD]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_event_does_not_hide_its_neighbours(broken: bytes) -> None:
    body = b'{"batch": [' + GOOD + b", " + broken + b", " + GOOD + b'], "metadata": {"batch": []}}'
    assert await split_batch(body) == [GOOD, broken, GOOD]
    assert readable_id(broken) == "e1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b"{}",
        b'{"batch":null}',
        b'{"batch":{"a":1}}',
        b'{"batch":"x"}',
        b'{"batch":[{}',
        b'{"batch":[{}]',
        b'{"batch":[{"a":NaN}]',
        b'{"batch":[NaN}',
        b'{"metadata":{"batch":[NaN]}}',
        b'{"batch" [NaN]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        await split_batch(body)


async def test_an_empty_batch_is_a_batch() -> None:
    assert await split_batch(b'{"batch":[]}') == []
    assert split_tolerant(b'{"batch": [ ]}') == []


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
)
def test_the_tolerant_cut_finds_what_was_joined(items: list[object]) -> None:
    events = [json.dumps(item, ensure_ascii=False).encode() for item in items]
    assert split_tolerant(b'{"metadata":{"x":[1]},"batch":[' + b",".join(events) + b"]}") == events


@given(st.text(alphabet=string.printable + '{}[]",\\:', max_size=60))
def test_the_tolerant_cut_never_fails_in_another_way(text: str) -> None:
    for body in (text, '{"batch":' + text, '{"batch":[' + text + "]}"):
        try:
            split_tolerant(body.encode())
        except EnvelopeError:
            continue


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"type":"x","id" : "e\\u0031"}', "e1"),
        (b'{"body":{"id":"inner"},"id":"outer"}', "outer"),
        (b'{"body":{"id":"inner"}}', UNKNOWN_ID),
        (b'{"id":7}', UNKNOWN_ID),
        (b'{"id":""}', UNKNOWN_ID),
        (b'{"id":"\\ud800"}', UNKNOWN_ID),
        (b'{"id":"\xff"}', UNKNOWN_ID),
        (b'{"id":"' + b"x" * 801 + b'"}', UNKNOWN_ID),
        (b'{"id":"a\\u0007b"}', "a\x07b"),
        (b'"id"', UNKNOWN_ID),
        (b"", UNKNOWN_ID),
    ],
)
def test_the_id_of_a_broken_event_is_shown_where_it_can_be_read(raw: bytes, shown: str) -> None:
    assert readable_id(raw) == shown
