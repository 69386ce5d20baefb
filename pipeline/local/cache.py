"""The folder for downloads that every stack of this user shares, and the lock that lets one process fill it.

Rule: what is in the cache is complete, because files are made elsewhere and renamed into it under the lock.
The kernel drops the lock with its process, so a killed download never blocks the next one.
Configured by SPANFOLD_CACHE (a folder; default ~/.cache/spanfold).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """SPANFOLD_CACHE, else ~/.cache/spanfold. The folder may not exist yet."""
    configured = os.environ.get("SPANFOLD_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "spanfold"


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold `lock` (a file, made when missing) against other processes and threads; waits until it is free."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
