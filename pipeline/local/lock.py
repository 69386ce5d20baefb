"""One stack per data directory: a lock that the kernel drops with its process, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SpanfoldError

FILE = "up.lock"


@contextmanager
def stack_lock(data: Path) -> Iterator[None]:
    """Hold DIR/up.lock, which tells the holder's process id. Raises SpanfoldError when another stack holds it."""
    with (data / FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SpanfoldError(
                f"Another `spanfold up` (process {holder}) uses {data}.",
                remedy=f"Stop it (kill {holder}) or choose another directory with --data.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
