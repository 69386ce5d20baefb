"""Protobuf's wire format, as far as cutting messages into their fields needs it: no field is decoded, none is lost.

Failure: ValueError for bytes that are no sequence of fields. Groups (wire types 3 and 4), which OTLP never had, are
such bytes. Work is linear in the number of fields; a length is checked against the bytes that are there.
Format: protobuf.dev, "Encoding"; wire type 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
"""

from collections.abc import Iterator
from typing import NamedTuple

LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}
_LONGEST_VARINT = 10


class Field(NamedTuple):
    """One field of a message: where it begins, where its value begins (behind tag and length) and where it ends."""

    number: int
    wire: int
    begin: int
    value: int
    end: int


def fields(raw: bytes, at: int, end: int) -> Iterator[Field]:
    """The fields of the message `raw[at:end]`, in order. Raises ValueError."""
    while at < end:
        begin = at
        tag, at = _varint(raw, at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        value = at
        if wire == LENGTH_DELIMITED:
            length, value = _varint(raw, at, end)
            at = value + length
        elif wire == 0:
            _, at = _varint(raw, at, end)
        elif wire in _FIXED:
            at += _FIXED[wire]
        else:
            raise ValueError(f"a field has the wire type {wire}")
        if at > end:
            raise ValueError(f"a field of {at - value} bytes where {end - value} are left")
        yield Field(number, wire, begin, value, at)


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and raw[at] < 0x80:
        return raw[at], at + 1
    value = shift = 0
    for position in range(at, min(end, at + _LONGEST_VARINT)):
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise ValueError("a number does not end")


def encode_varint(value: int) -> bytes:
    """A non-negative number, 7 bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message_field(number: int, value: bytes) -> bytes:
    """A length-delimited field: a message, a string or bytes."""
    return encode_varint(number << 3 | LENGTH_DELIMITED) + encode_varint(len(value)) + value


def number_field(number: int, value: int) -> bytes:
    """A varint field."""
    return encode_varint(number << 3) + encode_varint(value)
