"""A worker whose wall clock can be set: run as a program in the place of `-m pipeline`, with its arguments.

`time.time` and `time.time_ns` are off by as many seconds as the file CHAOS_CLOCK says, read anew every 50 ms.
Python's monotonic clock stays right, as it does when a machine's clock is set; `datetime.now` reads the kernel's
clock and cannot be reached from here (the worker takes no time from it).
"""

import os
import time
from pathlib import Path

_FILE = Path(os.environ["CHAOS_CLOCK"])
_EVERY = 0.05  # seconds
_real_time, _real_time_ns = time.time, time.time_ns
_read_at = -1.0
_seconds = 0.0


def _offset() -> float:
    global _read_at, _seconds
    now = time.monotonic()
    if now - _read_at > _EVERY:
        _read_at = now
        _seconds = float(_FILE.read_text() or 0) if _FILE.exists() else 0.0
    return _seconds


def _time() -> float:
    return _real_time() + _offset()


def _time_ns() -> int:
    return _real_time_ns() + int(_offset() * 1e9)


time.time, time.time_ns = _time, _time_ns

if __name__ == "__main__":
    from pipeline.cli import main

    main()
