"""Make an event out of a single object, as `POST /spans` and its like send it: the envelope that a batch would have.

Rule: the object's bytes stay as they came, inside `body`. What a batch's client says in the envelope is made here: the
time is the object's own `timestamp` where it is a score's, else now; the id is a hash of all that was said, so that a
score that a client sends again is the same event. An id that the path of a body does not name (`spanId`) goes into
`entityId`. Failure: InvalidBodyError for what is no JSON object.
"""

from time import time_ns
from typing import NamedTuple

import msgspec
import orjson

from pipeline.events import keys
from pipeline.ingest.answers import InvalidBodyError

_NULL = msgspec.Raw(b"null")


class Kind(NamedTuple):
    """A sort of single object: the event's type, and how its body says which entity it means and when it happened."""

    type: str
    id_key: str = "id"  # where an update keeps the entity's id
    makes_id: bool = False  # the type needs an id and this route makes one
    timed: bool = False  # `timestamp` is when it was said


class _Hints(msgspec.Struct, rename="camel"):
    id: msgspec.Raw = _NULL
    timestamp: msgspec.Raw = _NULL
    span_id: msgspec.Raw = _NULL
    generation_id: msgspec.Raw = _NULL


_DECODER = msgspec.json.Decoder(_Hints)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def split_objects(body: bytes) -> list[bytes]:
    """The items of a JSON array. Raises InvalidBodyError."""
    try:
        return [bytes(item) for item in _LIST.decode(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBodyError(str(error)) from None


def wrap(project_id: str, kind: Kind, body: bytes, number: int = 0) -> bytes:
    """One event of a batch, made of the object `body`; `number` tells equal objects of one request apart."""
    hints = _hints(body)
    timed = kind.timed and bytes(hints.timestamp) != b"null"
    at = bytes(hints.timestamp) if timed else b"%d" % (time_ns() // 1000)
    said = f"{project_id}\x1f{kind.type}" if timed else f"{project_id}\x1f{kind.type}\x1f{at.decode()}\x1f{number}"
    event_id = keys.event_identity(said, body).hex()
    parts = [b'{"id":"%s","type":"%s","timestamp":%s' % (event_id.encode(), kind.type.encode(), at)]
    entity = _entity(project_id, kind, hints, event_id)
    if entity is not None:
        parts.append(b',"entityId":' + entity)
    return b"".join([*parts, b',"body":', body, b"}"])


def _hints(body: bytes) -> _Hints:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBodyError(str(error)) from None


def _entity(project_id: str, kind: Kind, hints: _Hints, event_id: str) -> bytes | None:
    """The value of `entityId` as JSON; None where the body says it, or the worker can derive it."""
    if bytes(hints.id) != b"null":
        return None
    if kind.makes_id:
        return orjson.dumps(keys.derived_id(project_id, event_id))
    if kind.id_key == "id":
        return None
    given = bytes(hints.span_id if kind.id_key == "spanId" else hints.generation_id)
    if given == b"null":
        raise InvalidBodyError(f"{kind.id_key}: required")
    return given
