"""Every encoding unpacks what was packed, no more than the limit, and says what is no such stream."""

import gzip
import os
import tracemalloc
import zlib

import pytest
import zstandard

from pipeline.ingest.answers import ApiError
from pipeline.ingest.decompress import check_encoding, decompress


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKERS = {
    "gzip": [gzip.compress],
    "x-gzip": [gzip.compress],
    "deflate": [zlib.compress, raw_deflate],
    "zstd": [zstandard.compress, lambda body: zstandard.ZstdCompressor(write_content_size=False).compress(body)],
}
CASES = [(encoding, packer) for encoding, packers in PACKERS.items() for packer in packers]


@pytest.mark.parametrize(("encoding", "packer"), CASES)
@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 999_999])
async def test_what_was_packed_is_unpacked_up_to_the_limit(encoding: str, packer, size: int) -> None:  # type: ignore[no-untyped-def]
    body = os.urandom(size)
    assert await decompress(encoding, packer(body), size) == body
    if size:
        with pytest.raises(ApiError) as refused:
            await decompress(encoding, packer(body), size - 1)
        assert refused.value.status == 413


@pytest.mark.parametrize(("encoding", "packer"), CASES)
async def test_a_bomb_takes_no_memory_beyond_the_limit(encoding: str, packer) -> None:  # type: ignore[no-untyped-def]
    bomb = packer(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ApiError) as refused:
            await decompress(encoding, bomb, 1_000_000)
        assert refused.value.status == 413
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("body", [b"", b"\x00", b"plain text that was never packed"])
async def test_what_is_not_of_its_encoding_is_400(encoding: str, body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        await decompress(encoding, body, 1_000)
    assert (refused.value.status, encoding in str(refused.value)) == (400, True)


async def test_a_zstd_frame_must_not_ask_for_a_huge_window() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(ApiError) as refused:
        await decompress("zstd", packer.compress(bytes(1000)) + packer.flush(), 10_000)
    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_stream_that_was_cut_short_is_400(encoding: str) -> None:
    whole = PACKERS[encoding][0](os.urandom(5_000))
    with pytest.raises(ApiError) as refused:
        await decompress(encoding, whole[:-100], 10_000)
    assert refused.value.status == 400


def test_names_of_encodings_have_no_case() -> None:
    assert check_encoding(" GZip ") == "gzip"
    assert check_encoding("") == ""
    with pytest.raises(ApiError) as refused:
        check_encoding("br")
    assert refused.value.status == 415
