"""A reader of Avro records, made once from a schema and several times faster than a general one.

Problem: a general Avro library asks the schema about every field of every record; for an event with thirty fields, most
of them null, that costs more than all the rest of decoding.
Rule: our schemas are flat (text, numbers, flags, lists and maps of them, each maybe null), so one function per field
is enough. Nulls are left out. A length that says more than the bytes that are there is refused before anything is
allocated, and each item of a list or map takes at least one byte, so work and memory are bounded by the record.
Failure: ValueError or IndexError on bytes that are no such record; ValueError when made from a schema that is not flat.
Format: Avro 1.11 specification, "Binary encoding".
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

Read = Callable[[bytes, int], tuple[Any, int]]  # (bytes, position) -> (value, position behind it)

_DOUBLE = Struct("<d")


def record_reader(schema: dict[str, Any]) -> Read:
    """Reads a record to a dict of its fields that are not null."""
    fields = [(field["name"], *_field(field["type"])) for field in schema["fields"]]

    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        record = {}
        for name, read_value, optional in fields:
            if optional:
                branch = raw[at]
                at += 1
                if branch == 0:
                    continue
                if branch != 2:  # zigzag of 1
                    raise ValueError(f"{name} has no branch {branch}")
            record[name], at = read_value(raw, at)
        return record, at

    return read


def _field(kind: Any) -> tuple[Read, bool]:
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            raise ValueError(f"an optional field is a union of null and one type, not {kind}")
        return _reader(kind[1]), True
    return _reader(kind), False


def _reader(kind: Any) -> Read:
    """The function that reads one type."""
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "array":
        return _array(_reader(kind["items"]))
    if name == "map":
        return _map(_reader(kind["values"]))
    if name not in _PRIMITIVES:
        raise ValueError(f"schemas are flat, {name} is not known here")
    return _PRIMITIVES[name]


def _long(raw: bytes, at: int) -> tuple[int, int]:
    """Variable length, 7 bits a byte, the lowest first, zigzag."""
    byte = raw[at]
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        at += 1
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    if shift > 63 and (shift > 70 or value >> 64):
        raise ValueError("a number has more than 64 bits")
    return (value >> 1) ^ -(value & 1), at + 1


def _string(raw: bytes, at: int) -> tuple[str, int]:
    length = raw[at]
    if length & 0x81:  # more than one byte, or negative
        length, at = _long(raw, at)
    else:
        length, at = length >> 1, at + 1
    end = at + length
    if not at <= end <= len(raw):
        raise ValueError(f"a text of {length} bytes, {len(raw) - at} are there")
    return raw[at:end].decode(), end


def _boolean(raw: bytes, at: int) -> tuple[bool, int]:
    if raw[at] > 1:
        raise ValueError("a boolean is 0 or 1")
    return raw[at] == 1, at + 1


def _double(raw: bytes, at: int) -> tuple[float, int]:
    if at + 8 > len(raw):
        raise ValueError("a double of 8 bytes is cut short")
    return _DOUBLE.unpack_from(raw, at)[0], at + 8


def _block(raw: bytes, at: int) -> tuple[int, int]:
    """How many items follow; a negative count is followed by the block's size in bytes, which nobody needs."""
    count, at = _long(raw, at)
    if count < 0:
        _, at = _long(raw, at)
    return abs(count), at


def _array(read_item: Read) -> Read:
    def read(raw: bytes, at: int) -> tuple[list[Any], int]:
        items = []
        count, at = _block(raw, at)
        while count:
            for _ in range(count):
                item, at = read_item(raw, at)
                items.append(item)
            count, at = _block(raw, at)
        return items, at

    return read


def _map(read_value: Read) -> Read:
    def read(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
        values = {}
        count, at = _block(raw, at)
        while count:
            for _ in range(count):
                key, at = _string(raw, at)
                values[key], at = read_value(raw, at)
            count, at = _block(raw, at)
        return values, at

    return read


_PRIMITIVES: dict[str, Read] = {
    "string": _string,
    "long": _long,
    "int": _long,
    "double": _double,
    "boolean": _boolean,
}
