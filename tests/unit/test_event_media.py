"""Media inside events: found in every shape that clients send, taken out whole, and nothing else touched."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.media import Medium, media_id_of, take_out
from pipeline.events.model import Event, Fields, Kind, Micros

PNG = bytes(range(256)) * 4
TEXT = base64.b64encode(PNG).decode()
DIGEST = hashlib.sha256(PNG).digest()
ID = media_id_of(DIGEST)


def reference(content_type: str, source: str = "bytes") -> str:
    return f"@@@langfuseMedia:type={content_type}|id={ID}|source={source}@@@"


def taken(text: str, **fields: Any) -> tuple[Fields, list[Medium]]:
    event = Event("p", "t", Kind.OBSERVATION, "o", "e", Micros(1), Fields(input=text, **fields))
    [event], media = take_out(text.encode(), [event])
    return event.fields, media


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64,{}",
        "see data:image/PNG;charset=utf-8;base64,{} and go on",
        '["data:image/png;base64,{}"]',
    ],
)
def test_a_data_uri_becomes_a_reference_wherever_it_stands(text: str) -> None:
    fields, media = taken(text.format(TEXT), name="n")
    begin = text.index("data:")
    end = text.index("{}") + 2
    assert fields == {"input": text[:begin] + reference("image/png", "base64_data_uri") + text[end:], "name": "n"}
    assert media == [Medium(ID, "image/png", DIGEST, PNG)]


@pytest.mark.parametrize(
    ("part", "content_type"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}}, "image/png"),
        ({"inlineData": {"mimeType": "image/png", "data": TEXT}}, "image/png"),
        ({"inline_data": {"mime_type": "application/pdf", "data": TEXT}}, "application/pdf"),
        ({"type": "input_audio", "input_audio": {"format": "wav", "data": TEXT}}, "audio/wav"),
        ({"type": "file", "mediaType": "text/csv", "data": TEXT}, "text/csv"),
        ({"type": "file", "mimeType": "text/csv", "data": TEXT}, "text/csv"),
        ({"type": "image", "mimeType": "image/png", "image": TEXT}, "image/png"),
        ({"type": "image", "mediaType": "image/png", "image": TEXT}, "image/png"),
        ({"type": "blob", "modality": "image", "mime_type": "image/png", "content": TEXT}, "image/png"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_providers_parts_lose_their_bytes_and_nothing_else(
    part: dict[str, Any], content_type: str, indent: int | None, slash: str
) -> None:
    text = json.dumps(
        [{"role": "user", "content": [{"text": "été"}, part], "n": 12345678901234567890123}], indent=indent
    )
    fields, media = taken(text.replace(TEXT, TEXT.replace("/", slash)))
    assert fields["input"] == text.replace(TEXT, reference(content_type))
    assert media == [Medium(ID, content_type, DIGEST, PNG)]


def test_the_same_bytes_in_two_places_are_one_medium() -> None:
    uri = f"data:image/png;base64,{TEXT}"
    fields, media = taken(json.dumps([uri, {"inlineData": {"mimeType": "image/png", "data": TEXT}}]), output=uri)
    assert (fields["output"], len(media)) == (reference("image/png", "base64_data_uri"), 1)
    assert json.loads(fields["input"])[1]["inlineData"]["data"] == reference("image/png")


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64,",
        "data:image/png;base64,abc",  # not a multiple of four
        "data:;base64,AAAA",
        "data:image;base64,AAAA",
        f"data:{'a' * 200}/png;base64,{TEXT}",
        json.dumps({"inlineData": {"mimeType": "image/png", "data": "AAAA" * 200}}),  # too short to matter
        json.dumps({"inlineData": {"mimeType": "../../etc", "data": TEXT}}),
        json.dumps({"inlineData": {"mimeType": 5, "data": TEXT}}),
        json.dumps({"inlineData": {"mimeType": "image/png", "data": [TEXT]}}),
        json.dumps({"inlineData": {"mimeType": "image/png", "data": TEXT[:-1] + "!"}}),
        json.dumps({"type": "file", "mediaType": "text/plain", "data": "é" * 80}, ensure_ascii=False),
        json.dumps({"inlineData": {"mimeType": "text/plain", "data": "日本語" * 30}}),
        json.dumps({"mimeType": "image/png", "data": TEXT}),  # of no provider
        json.dumps({"inlineData": [1, None, {}]}),
        '{"inlineData": {"mimeType": "image/png"',
        "[" * 10_000 + "inlineData",
        "{base64}",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert taken(text) == ({"input": text}, [])


def test_what_lies_too_deep_is_left_alone() -> None:
    part: Any = {"inlineData": {"mimeType": "image/png", "data": TEXT}}
    for _ in range(100):
        part = [part]
    text = json.dumps(part)
    assert taken(text) == ({"input": text}, [])


@given(st.text(), st.sampled_from(["", "base64", "inlineData", ";base64,", "data:a/b;base64,"]))
def test_any_text_without_base64_stays_as_it_is(text: str, mark: str) -> None:
    event = Event("p", "t", Kind.OBSERVATION, "o", "e", Micros(1), Fields(input=mark + " " + text, output=text))
    assert take_out(f"{mark} {text}".encode(errors="replace"), [event]) == ([event], [])


@pytest.mark.timeout(60)
def test_many_parts_cost_no_more_than_their_bytes() -> None:
    """Not so many times the whole text: that would stop a worker for minutes."""
    contents = [base64.b64encode(b"%0800d" % n).decode() for n in range(3_000)]
    text = json.dumps([{"inlineData": {"mimeType": "a/b", "data": content}} for content in contents])
    fields, media = taken(text)
    assert (len(media), fields["input"].count("@@@langfuse")) == (3_000, 3_000)
