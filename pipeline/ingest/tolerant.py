"""Find the events of a batch whose JSON is broken somewhere, so that one broken event does not cost its neighbours.

Problem: a strict parser refuses the whole body for one NaN, one lone surrogate (JavaScript writes them) or one event
nested too deep. Rule: only strings, brackets and commas are looked at, which is enough to cut a batch at its commas;
what is between them is judged event by event later. Failure: EnvelopeError where even the brackets do not match.
Cost: about 100 ns a token, so it runs only after the strict parser has refused, and in a thread.
"""

import re

import msgspec

from pipeline.events.keys import MAX_ID_LENGTH
from pipeline.ingest.answers import UNKNOWN_ID, EnvelopeError

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],]', re.DOTALL)
_COLON = re.compile(rb"\s*:\s*")
_STRING_VALUE = re.compile(rb'\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)
_ID_WITHIN = 65_536  # bytes of an event that are searched for its id


def split_tolerant(body: bytes) -> list[bytes]:
    """The items of the top-level array `batch`, as they came. Raises EnvelopeError where there is none."""
    items: list[bytes] | None = None
    depth, start, key = 0, -1, None
    for token in _TOKEN.finditer(body):
        mark = body[token.start()]
        if mark == 0x22:  # a string; at depth 1 it may be the key "batch"
            key = token if depth == 1 else key
        elif mark in b"{[":
            depth += 1
            if depth == 2 and mark == 0x5B and items is None and _names_batch(body, key, token.start()):
                items, start = [], token.end()
        elif mark in b"}]":
            depth -= 1
            if depth == 1 and items is not None and start >= 0:
                items.append(body[start : token.start()].strip())
                start = -1
        elif depth == 2 and items is not None and start >= 0:  # a comma between two items
            items.append(body[start : token.start()].strip())
            start = token.end()
    if items is None or depth or start >= 0:
        raise EnvelopeError("The body is not a JSON object with an array `batch`.")
    return [] if items == [b""] else items


def _names_batch(body: bytes, key: "re.Match[bytes] | None", bracket: int) -> bool:
    return key is not None and key[0] == b'"batch"' and _COLON.fullmatch(body, key.end(), bracket) is not None


def readable_id(raw: bytes) -> str:
    """The envelope id of an event that was refused, for the answer; "unknown" where there is none to show."""
    depth = 0
    for token in _TOKEN.finditer(raw, 0, _ID_WITHIN):
        mark = raw[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"id"' and (value := _STRING_VALUE.match(raw, token.end())):
            return _shown(value[1])
    return UNKNOWN_ID


def _shown(literal: bytes) -> str:
    try:
        value = msgspec.json.decode(literal, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return UNKNOWN_ID
    return value if 0 < len(value) <= MAX_ID_LENGTH else UNKNOWN_ID
