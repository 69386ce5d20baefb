"""Coverage-guided fuzzing of the decoders of bytes: `python -m tests.fuzz.binary TARGET [libFuzzer option …] [FOLDER]`.

A target takes any bytes and may only refuse them with the error that its callers know. Anything else, a hang of ten
seconds or 1 GiB of memory ends the run with the input that did it. For a long search: `-max_total_time=600`.
"""

import asyncio
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["pipeline"], enable_loader_override=False):
    from pipeline.events import avro, confluent, headers
    from pipeline.events.otlp.records import otlp_events, record_events
    from pipeline.events.reasons import DecodeError
    from pipeline.ingest.answers import ApiError
    from pipeline.ingest.decompress import decompress

LIMIT = 100_000  # bytes that a body may unpack to
LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=4096"]


def _decoding(decode: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def decoded(raw: bytes) -> None:
        try:
            decode(raw)
        except DecodeError as error:
            assert error.detail

    return decoded


def _unpacking(encoding: str) -> Callable[[bytes], None]:
    def unpacked(raw: bytes) -> None:
        try:
            assert len(asyncio.run(decompress(encoding, raw, LIMIT))) <= LIMIT
        except ApiError as error:
            assert error.status in (400, 413)

    return unpacked


TARGETS: dict[str, Callable[[bytes], None]] = {
    "avro": _decoding(avro.decode),
    "confluent": _decoding(confluent.decode),
    "otlp": _decoding(lambda raw: otlp_events("p", headers.OTLP_PROTOBUF, raw)),
    "otlp-record": _decoding(lambda raw: record_events("p", headers.OTLP_PROTOBUF, raw)),
    "gzip": _unpacking("gzip"),
    "deflate": _unpacking("deflate"),
    "zstd": _unpacking("zstd"),
}


def _all(raw: bytes) -> None:
    for target in TARGETS.values():
        target(raw)


def main() -> None:
    """Search until libFuzzer's limits say otherwise."""
    named = {"all": _all, **TARGETS}
    if len(sys.argv) < 2 or sys.argv[1] not in named:
        sys.exit(f"usage: python -m tests.fuzz.binary {'|'.join(named)} [-max_total_time=SECONDS] [FOLDER]")
    atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[2:]], named[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
