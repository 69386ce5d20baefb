"""One stack per data directory: a lock that the kernel drops with its process, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SpanfoldError

FILE = "up.lock"
_ASKED = 0.5  # seconds; who asks by `is_released` holds the lock for a moment


@contextmanager
def stack_lock(data: Path) -> Iterator[None]:
    """Hold DIR/up.lock, which tells the holder's process id. Raises SpanfoldError when another stack holds it."""
    with (data / FILE).open("a+") as file:
        give_up = time.monotonic() + _ASKED
        while not (held := _take(file.fileno(), fcntl.LOCK_EX)) and time.monotonic() < give_up:
            time.sleep(0.05)
        if not held:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SpanfoldError(
                f"Another `spanfold up` (process {holder}) uses {data}.",
                remedy=f"Stop it (kill {holder}) or choose another directory with --data.",
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_released(data: Path) -> bool:
    """True where a stack has held DIR/up.lock and none does any more: what else tells of one tells of a dead one."""
    try:
        with (data / FILE).open() as file:
            return _take(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False  # nothing is known


def _take(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
