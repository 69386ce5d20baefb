"""Memory that the allocator keeps although nobody uses it any more.

Problem: glibc gives back only what lies at the end of its heaps, and gives each thread a heap of its own. After a crowd
of requests or a long topic some small object stands there nearly always, and the free memory below stays with the
process (100 of 309 MiB in a front door, 170 of 796 in a worker). Nothing is lost, it is used again; but a process looks
as if it grew, and its neighbours could use the memory.
Rule: 1 large blocks are mapped, so they go when they are freed, and few threads get a heap of their own, 2 now and then
every free page is given back, which takes milliseconds in which others that ask for memory wait.
How it fails: elsewhere than on glibc nothing happens.
"""

import ctypes
import sys
from typing import Any

EVERY = 30.0  # seconds
HEAPS = 2
LARGE = 2**20  # bytes
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of malloc.h


def _libc() -> Any:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None


_GLIBC = _libc()


def keep_little() -> None:
    """Rule 1, at the start of a process: before it has threads."""
    if _GLIBC is not None:
        _GLIBC.mallopt(_MMAP_THRESHOLD, LARGE)
        _GLIBC.mallopt(_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Rule 2: return free pages to the system."""
    if _GLIBC is not None:
        _GLIBC.malloc_trim(0)
