"""Compressed bodies: gzip, deflate and zstd, never more than the limit of what they unpack to (zip bombs).

Rule: a decompressor is asked for no more than the limit and one byte, so that a bomb costs what an honest body costs.
The first part is unpacked on the event loop (under 1 ms); what is longer goes on in a thread.
Failure: ApiError, 415 for an encoding that is not known, 413 above the limit, 400 for what is not of its encoding.
"""

import asyncio
import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from pipeline.ingest.answers import ApiError, too_large

IDENTITY = ("", "identity")
_INLINE = 256 * 1024
_ZLIB, _RAW, _GZIP = 15, -15, 31  # zlib's names for the three containers: its `wbits`
_ZSTD_STEP = 128  # bytes of input: the shortest block, 4 bytes, makes 128 KiB, so a step makes 4 MiB at most
_ZSTD_WINDOW = 2**24  # bytes of memory that a frame may ask for; level 19 needs half of it


class _Unpacker(Protocol):
    """Unpacks step by step."""

    def take(self, size: int) -> bytes:
        """At most `size` further bytes; fewer only at the end. Raises ValueError for what is no such stream."""

    def finish(self) -> None:
        """Raises ValueError where the stream is cut short, or something follows it."""


class _Zlib:
    """gzip and deflate."""

    def __init__(self, body: bytes, wbits: int) -> None:
        self._decompressor = zlib.decompressobj(wbits=wbits)
        self._rest = body

    def take(self, size: int) -> bytes:
        try:
            out = self._decompressor.decompress(self._rest, size)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        self._rest = self._decompressor.unconsumed_tail
        return out

    def finish(self) -> None:
        if not self._decompressor.eof or self._decompressor.unused_data:
            raise ValueError("it is not one complete stream")


class _Zstd:
    """zstd, any number of frames. The input is fed in small steps, because a step's output cannot be limited."""

    def __init__(self, body: bytes) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._body = body
        self._at = 0
        self._ready = bytearray()

    def take(self, size: int) -> bytes:
        try:
            while len(self._ready) < size and self._at < len(self._body):
                self._step()
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        out = bytes(self._ready[:size])
        del self._ready[:size]
        return out

    def finish(self) -> None:
        if not self._frame.eof or self._at < len(self._body):
            raise ValueError("it is not one complete stream")

    def _step(self) -> None:
        if self._frame.eof:
            self._frame = self._decompressor.decompressobj()
        part = self._body[self._at : self._at + _ZSTD_STEP]
        self._ready += self._frame.decompress(part)
        self._at += len(part) - len(self._frame.unused_data)


def _deflate(body: bytes) -> _Unpacker:
    """HTTP means zlib's container; some clients send none at all."""
    has_container = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _Zlib(body, _ZLIB if has_container else _RAW)


_UNPACKERS: dict[str, Callable[[bytes], _Unpacker]] = {
    "gzip": lambda body: _Zlib(body, _GZIP),
    "x-gzip": lambda body: _Zlib(body, _GZIP),
    "deflate": _deflate,
    "zstd": _Zstd,
}


def check_encoding(encoding: str) -> str:
    """The name of a Content-Encoding that is known. Raises ApiError (415)."""
    name = encoding.strip().lower()
    if name not in IDENTITY and name not in _UNPACKERS:
        raise ApiError(
            415,
            "UnsupportedMediaTypeError",
            f"The encoding {name[:40]!r} is unknown.",
            remedy="Use gzip, deflate or zstd.",
        )
    return name


async def decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """The body unpacked, at most `limit` bytes; `encoding` was checked. Raises ApiError: 413 or 400."""
    first = min(_INLINE, limit + 1)
    try:
        unpacker = _UNPACKERS[encoding](body)
        parts = [unpacker.take(first)]
        if len(parts[0]) == first <= limit:
            parts.append(await asyncio.to_thread(unpacker.take, limit + 1 - first))
        out = b"".join(parts)
        if len(out) <= limit:
            unpacker.finish()
    except (ValueError, zstandard.ZstdError) as error:
        raise ApiError(400, "InvalidRequestError", f"The body is not valid {encoding}: {error}.") from None
    if len(out) > limit:
        raise too_large(limit)
    return out
