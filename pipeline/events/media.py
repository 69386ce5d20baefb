"""Media inside `input` and `output`: what base64 stands for is taken out, a reference by its content hash stays.

Found are data URIs wherever they stand, and the parts of messages in which providers send bytes beside their type
(`_PARTS`). The reference is Langfuse's own string, so its SDKs resolve it. It is a function of the bytes and their
type, and so the same for every copy of an event, on every worker, and when the event is read back from the archive,
which keeps it as it came. Nothing else of the text changes. What is no base64, or has no sane type, is left alone.
How fast: one search of a record whose texts are shorter than a kilobyte, a few of a larger one.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, cast

import orjson

from pipeline.events.model import Event, Fields

ID_LENGTH = 22
DEEPEST = 64  # levels of a message that are looked through
SHORTEST = 1_024  # characters of base64 in a provider's part: what is shorter does not make a row large, and stays

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,100}/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}")
_NAME = r"[a-zA-Z0-9!#$&^_.+-]{1,100}"
_URI = re.compile(rf"data:({_NAME}/{_NAME})(?:;{_NAME}={_NAME}){{0,5}};base64,([A-Za-z0-9+/]+={{0,2}})")
_STRING = re.compile(rf'(?<=")[A-Za-z0-9+/\\]{{{SHORTEST - 2},}}+={{0,2}}+(?=")')  # base64; JSON may write / as \/
_TEXTS: tuple[Literal["input"], Literal["output"]] = ("input", "output")


class Medium(NamedTuple):
    """Bytes that were taken out; `sha256` is the digest."""

    id: str
    content_type: str
    sha256: bytes
    content: bytes


class _Part(NamedTuple):
    """An object of a message that holds bytes: under a key of that name, or with a `type` of that value."""

    mark: str  # what such a text must contain
    under: str  # "": under any
    type: str  # "": any
    content_type: str  # the name of the member that tells it
    content: str  # the name of the member that is the base64
    family: str = ""  # in front of what the content type tells


_PARTS = (
    _Part("base64", "", "base64", "media_type", "data"),  # Anthropic
    _Part("inlineData", "inlineData", "", "mimeType", "data"),  # Gemini
    _Part("inline_data", "inline_data", "", "mime_type", "data"),  # Gemini's Python SDK
    _Part("input_audio", "input_audio", "", "format", "data", "audio/"),  # OpenAI
    _Part("mediaType", "", "file", "mediaType", "data"),  # AI SDK 5 and newer
    _Part("mimeType", "", "file", "mimeType", "data"),  # AI SDK 4
    _Part("mediaType", "", "image", "mediaType", "image"),
    _Part("mimeType", "", "image", "mimeType", "image"),
    _Part("blob", "", "blob", "mime_type", "content"),  # OpenTelemetry's GenAI conventions
)
_MARKS = tuple(dict.fromkeys(part.mark.encode() for part in _PARTS))


def media_id_of(sha256: bytes) -> str:
    """The id of the medium with this digest: 132 bits of it in URL-safe base64."""
    return base64.urlsafe_b64encode(sha256).decode()[:ID_LENGTH]


def take_out(value: bytes, events: list[Event]) -> tuple[list[Event], list[Medium]]:
    """The events of a record with references in place of their media, and the media; `value` is the record's."""
    if b";base64," not in value and not (_has_room(value, events) and any(mark in value for mark in _MARKS)):
        return events, []
    found: dict[str, Medium] = {}
    return [_without(event, found) for event in events], list(found.values())


def _has_room(value: bytes, events: list[Event]) -> bool:
    """True where a text is long enough for a provider's part."""
    if len(value) >= SHORTEST:
        for event in events:
            fields = event.fields
            if len(fields.get("input", "")) >= SHORTEST or len(fields.get("output", "")) >= SHORTEST:
                return True
    return False


def _without(event: Event, found: dict[str, Medium]) -> Event:
    changed: dict[str, str] = {}
    for name in _TEXTS:
        text = event.fields.get(name)
        if text and (referring := _referring(text, found)) != text:
            changed[name] = referring
    return event._replace(fields=cast(Fields, {**event.fields, **changed})) if changed else event


def _referring(text: str, found: dict[str, Medium]) -> str:
    """The text with references."""
    if ";base64," in text:
        text = _URI.sub(
            lambda match: _reference(match[1].lower(), match[2], "base64_data_uri", found) or match[0], text
        )
    marked = [part for part in _PARTS if part.mark in text]
    if text[0] not in "[{" or not marked:
        return text
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    references = {
        content: reference
        for content_type, content in _contents(message, "", marked, DEEPEST)
        if (reference := _reference(content_type, content, "bytes", found))
    }
    if not references:
        return text
    return _STRING.sub(lambda match: references.get(match[0].replace("\\/", "/"), match[0]), text)


def _contents(message: Any, under: str, parts: Sequence[_Part], levels: int) -> Iterator[tuple[str, str]]:
    """(content type, base64) of the parts in a message."""
    if not levels or not isinstance(message, dict | list):
        return
    if isinstance(message, list):
        for each in message:
            yield from _contents(each, under, parts, levels - 1)
        return
    for part in parts:
        content, told = message.get(part.content), message.get(part.content_type)
        fits = part.under in ("", under) and part.type in ("", message.get("type"))
        if fits and isinstance(told, str) and isinstance(content, str) and len(content) >= SHORTEST:
            yield part.family + told.lower(), content
    for name, each in message.items():
        yield from _contents(each, name, parts, levels - 1)


def _reference(content_type: str, text: str, source: str, found: dict[str, Medium]) -> str:
    """What stands for the bytes from now on; empty where these are none."""
    if not _TYPE.fullmatch(content_type):
        return ""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, and another one where the text is not ASCII
        return ""
    digest = hashlib.sha256(content).digest()
    medium = Medium(media_id_of(digest), content_type, digest, content)
    found.setdefault(medium.id, medium)
    return f"@@@langfuseMedia:type={content_type}|id={medium.id}|source={source}@@@"
