"""Memory that the allocator keeps although nobody uses it any more.

Problem: glibc gives back only what lies at the end of its heap. After a crowd of requests or a long topic some small
object nearly always stands there, and the free memory below stays with the process (100 of 309 MiB were seen in a front
door). Nothing is lost, it is used again; but a process looks as if it grew, and its neighbours could use the memory.
Rule: now and then it is told to give back every free page. That takes milliseconds, in which others that ask the
allocator for memory wait. How it fails: elsewhere than on glibc nothing happens.
"""

import ctypes
import sys

EVERY = 30.0  # seconds


def give_back() -> None:
    """Return free pages to the system."""
    if _TRIM is not None:
        _TRIM(0)


def _find() -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


_TRIM = _find()
