"""What clients say about media in JSON, checked: declarations and reports. Failure: InvalidBodyError, ApiError 413."""

import base64
import binascii
import re
from typing import Literal, TypeVar

import msgspec

from pipeline.blobs import Media
from pipeline.events.media import media_id_of
from pipeline.ingest.answers import InvalidBodyError, too_large

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,100}/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}")
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class _Declared(msgspec.Struct, rename="camel"):
    content_type: str
    content_length: int
    sha256_hash: str
    field: Literal["input", "output", "metadata", "expectedOutput"]
    trace_id: str | None = None
    observation_id: str | None = None
    dataset_id: str | None = None
    dataset_item_id: str | None = None


class _Reported(msgspec.Struct, rename="camel"):
    uploaded_at: str
    upload_http_status: int
    upload_http_error: str | None = None
    upload_time_ms: float | None = None


T = TypeVar("T")
_DECLARED = msgspec.json.Decoder(_Declared)
_REPORTED = msgspec.json.Decoder(_Reported)


def declared_media(body: bytes, limit: int) -> Media:
    """The medium of `POST /media`; `limit` in bytes."""
    declared = _decoded(_DECLARED, body)
    if not declared.trace_id and not (declared.dataset_id and declared.dataset_item_id):
        raise InvalidBodyError("traceId: a medium belongs to a trace, or to a dataset's item")
    content_type = declared.content_type.lower()
    if not _TYPE.fullmatch(content_type):
        raise InvalidBodyError("contentType: a media type such as image/png")
    if declared.content_length < 1:
        raise InvalidBodyError("contentLength: at least 1")
    if declared.content_length > limit:
        raise too_large(limit)
    digest = _digest(declared.sha256_hash)
    held = bool(declared.dataset_item_id)
    return Media(media_id_of(digest), content_type, declared.content_length, declared.sha256_hash, held=held)


def reported_upload(body: bytes) -> int:
    """The status that a client got for its upload, from `PATCH /media/ID`."""
    return _decoded(_REPORTED, body).upload_http_status


def is_media_id(value: str) -> bool:
    """Whether a medium can be called so."""
    return _MEDIA_ID.fullmatch(value) is not None


def _digest(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32 or base64.b64encode(digest).decode() != text:
        raise InvalidBodyError("sha256Hash: the base64 of a SHA-256")
    return digest


def _decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBodyError(str(error)) from None
