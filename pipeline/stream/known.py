"""Which traces the archive may hold already: answers "surely new" or "perhaps known" without asking ClickHouse.

Filled from the archive when a partition is assigned, then kept up to date as traces leave memory. Eight bytes a
trace: a sorted array, plus a small set of recent additions that is merged in now and then. Two traces with the same
64-bit hash cost one needless read-back, nothing else.
"""

from array import array
from bisect import bisect_left
from heapq import merge

MERGE_AT_LEAST = 65_536


class KnownTraces:
    """A set of 64-bit trace hashes that only grows."""

    __slots__ = ("_recent", "_sorted")

    def __init__(self) -> None:
        self._sorted: array[int] = array("Q")
        self._recent: set[int] = set()

    def replace(self, hashes: "array[int]") -> None:
        """Start from these, sorted; what was added meanwhile stays."""
        self._sorted = hashes

    def __contains__(self, trace_hash: int) -> bool:
        if trace_hash in self._recent:
            return True
        at = bisect_left(self._sorted, trace_hash)
        return at < len(self._sorted) and self._sorted[at] == trace_hash

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, trace_hash: int) -> None:
        """From now on the trace is perhaps known."""
        if trace_hash in self:
            return
        self._recent.add(trace_hash)
        if len(self._recent) > max(MERGE_AT_LEAST, len(self._sorted) // 8):
            self._sorted = array("Q", merge(self._sorted, sorted(self._recent)))
            self._recent.clear()
