"""HTTP compression of request and response bodies, in the encodings that ClickHouse speaks.

Problem: clickhouse-connect sends one LZ4 (or zstd, brotli) frame per block, so one body is many frames in a row;
a decoder that stops after the first loses rows without an error.
Rule: a body is read to its last byte; what does not end at the end of a frame is an error, never a short insert.
Fails: `ClickHouseError` 271 (CANNOT_DECOMPRESS) for damaged bodies, 48 (NOT_IMPLEMENTED) for unknown encodings.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import cramjam
import lz4.frame

from pipeline.local.clickhouse.errors import ClickHouseError, Code

PIECE_BYTES = 1 << 20
_GZIP, _ZLIB = 31, 15  # zlib's window arguments for the two containers


class Encoder(Protocol):
    """Compresses one response, piece by piece; what it has returned so far can be decoded so far."""

    def add(self, data: bytes) -> bytes:
        """The bytes to send for `data`."""

    def end(self) -> bytes:
        """The bytes that close the body."""


class _Lz4Encoder:
    """One frame for the whole body: clickhouse-connect's reader stops at the end of the first."""

    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begun = False

    def add(self, data: bytes) -> bytes:
        head = b"" if self._begun else bytes(self._frame.begin())
        self._begun = True
        return head + bytes(self._frame.compress(data))

    def end(self) -> bytes:
        return (b"" if self._begun else self.add(b"")) + bytes(self._frame.flush())


class _ZlibEncoder:
    def __init__(self, window: int) -> None:
        self._stream = zlib.compressobj(level=1, wbits=window)

    def add(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush()


class _CramjamEncoder:
    def __init__(self, stream: "cramjam.zstd.Compressor | cramjam.brotli.Compressor") -> None:
        self._stream = stream

    def add(self, data: bytes) -> bytes:
        self._stream.compress(data)
        return bytes(self._stream.flush())

    def end(self) -> bytes:
        return bytes(self._stream.finish())


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": lambda: _CramjamEncoder(cramjam.zstd.Compressor(1)),
    "gzip": lambda: _ZlibEncoder(_GZIP),
    "deflate": lambda: _ZlibEncoder(_ZLIB),
    "br": lambda: _CramjamEncoder(cramjam.brotli.Compressor(1)),
}


def choose_encoding(accepted: str) -> str:
    """The first encoding of an Accept-Encoding header that this server can write; empty for none."""
    names = (part.split(";")[0].strip().lower() for part in accepted.split(","))
    return next((name for name in names if name in _ENCODERS), "")


def encoder(encoding: str) -> Encoder:
    """A fresh encoder; `encoding` comes from `choose_encoding`."""
    return _ENCODERS[encoding]()


def decompressed(encoding: str, body: bytes) -> Iterator[bytes]:
    """The body in pieces (of at most `PIECE_BYTES` for lz4, gzip and deflate; zstd and br arrive as one)."""
    decode = _DECODERS.get(encoding.strip().lower())
    if decode is None:
        raise ClickHouseError.raised(Code.NOT_IMPLEMENTED, f"Unknown Content-Encoding {encoding}")
    try:
        yield from decode(body)
    except (RuntimeError, EOFError, zlib.error, cramjam.DecompressionError) as error:
        message = f"Cannot decompress the request's body as {encoding}: {error}"
        raise ClickHouseError.raised(Code.CANNOT_DECOMPRESS, message) from error


def _identity(body: bytes) -> Iterator[bytes]:
    if body:
        yield body


def _lz4(body: bytes) -> Iterator[bytes]:
    rest: bytes | None = body
    while rest:
        frame = lz4.frame.LZ4FrameDecompressor()
        piece = frame.decompress(rest, PIECE_BYTES)
        while piece or not frame.eof:
            if not piece and frame.needs_input:
                raise EOFError("the last frame is incomplete")
            yield piece
            piece = b"" if frame.eof else frame.decompress(b"", PIECE_BYTES)
        rest = frame.unused_data


def _zlib(window: int) -> Callable[[bytes], Iterator[bytes]]:
    def decode(body: bytes) -> Iterator[bytes]:
        rest = body
        while rest:
            stream = zlib.decompressobj(window)
            pending = rest
            while not stream.eof:
                piece = stream.decompress(pending, PIECE_BYTES)
                pending = stream.unconsumed_tail
                if not piece and not pending and not stream.eof:
                    raise EOFError("the body is incomplete")
                yield piece
            rest = stream.unused_data

    return decode


def _zstd(body: bytes) -> Iterator[bytes]:
    if body:
        yield bytes(cramjam.zstd.decompress(body))


def _brotli(body: bytes) -> Iterator[bytes]:
    if body:
        yield bytes(cramjam.brotli.decompress(body))


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "": _identity,
    "identity": _identity,
    "lz4": _lz4,
    "gzip": _zlib(_GZIP),
    "deflate": _zlib(_ZLIB),
    "zstd": _zstd,
    "br": _brotli,
}
