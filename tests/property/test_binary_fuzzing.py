"""A short coverage-guided search for bytes that break a decoder, from real messages on; a long one by hand."""

import gzip
import importlib.util
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard

from pipeline.events import avro
from pipeline.events.model import Event, Fields, Kind, Micros

RECORDED = Path(__file__).parents[1] / "recorded"
EVENT = Event("p", "t", Kind.OBSERVATION, "o", "e", Micros(1), Fields(name="n", usage={"input": 1}, tool_calls=["f"]))
AVRO = avro.encode(EVENT)
BODY = b"a body that is worth packing " * 20
EXPORTS = [path.read_bytes() for path in sorted(RECORDED.glob("*/*v1_traces.bin"))[:6]]
PACKED = [gzip.compress(BODY), zlib.compress(BODY), zstandard.compress(BODY)]
SEEDS = [AVRO, b"\x00\x00\x00\x00\x01" + AVRO[10:], *EXPORTS, *PACKED]
SECONDS = 3
HERE = importlib.util.find_spec("atheris") is not None  # it has packages for Linux and some versions of Python


@pytest.mark.skipif(not HERE, reason="atheris has no package for this platform")
def test_no_bytes_break_a_decoder(tmp_path: Path) -> None:
    for number, seed in enumerate(SEEDS):
        (tmp_path / str(number)).write_bytes(seed)
    command = [sys.executable, "-m", "tests.fuzz.binary", "all", f"-max_total_time={SECONDS}", str(tmp_path)]
    fork = ["sh", "-c", '"$@"; exit $?', "sh"]  # Linux counts our peak of memory as that of a child, not of its child
    apart = [*fork, *command]
    ran = subprocess.run(apart, capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "Done " in ran.stderr
