"""One assigned partition: the traces of it that are in memory, and what else is known of it.

It lives from assignment to revocation. All of it can be made again from the archive, so it is simply dropped.
"""

import asyncio
import time
from collections.abc import Container, Iterator
from typing import NamedTuple

from pipeline.events.keys import trace_hash
from pipeline.events.model import Micros
from pipeline.fold.state import TraceState
from pipeline.stream.known import KnownTraces
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.settle import SettleQueue


class Limits(NamedTuple):
    """When a partition's traces settle (seconds of silence) and how much of them stays in memory."""

    quiet: float
    idle: float
    traces: int
    bytes: int


class Partition:
    """State of one partition; keys are Kafka record keys (PROJECT/TRACE)."""

    def __init__(self, tp: TopicPartition, limits: Limits) -> None:
        self.tp = tp
        self.limits = limits
        self.traces: dict[bytes, TraceState] = {}
        self.known = KnownTraces()
        self.open = SettleQueue[bytes](limits.quiet, limits.idle)
        self.settled: dict[bytes, None] = {}  # in memory and settled, oldest first: the first to leave
        self.size = 0  # bytes of the events in memory
        self.ready = asyncio.Event()
        self.revoked = False
        self.pinned: set[bytes] = set()  # traces of the chunk that is being taken in: they must not leave meanwhile

    def is_revoked(self) -> bool:
        """True once the partition is somebody else's."""
        return self.revoked

    def create(self, key: bytes, project_id: str, trace_id: str, first_seen: Micros) -> TraceState:
        """A trace of which nothing is in memory."""
        state = self.traces[key] = TraceState(project_id, trace_id, first_seen)
        return state

    def perhaps_archived(self, project_id: str, trace_id: str) -> bool:
        """True where ClickHouse may hold events of a trace that is not in memory."""
        return trace_hash(project_id, trace_id) in self.known

    def touched(self, key: bytes) -> None:
        """The trace got an event that is no score: it is open, its wait for settling starts anew."""
        self.settled.pop(key, None)
        self.open.heard(key, time.monotonic())

    def settle(self, key: bytes) -> None:
        """The trace is settled until the next event."""
        self.open.forget(key)
        self.settled[key] = None

    def is_settled(self, key: bytes) -> bool:
        """True between settling and the next event."""
        return key in self.settled

    def due(self, now: float) -> Iterator[tuple[bytes, bool]]:
        """(key, settles for certain) of traces whose time has come; with False it settles only if it has ended.

        Where open traces alone exceed the limits, the ones silent longest settle early, so that they may leave memory.
        """
        yield from ((key, False) for key in self.open.quiet(now))
        yield from ((key, True) for key in self.open.idle(now))
        excess = len(self.open) - self.limits.traces
        if self.size > self.limits.bytes and not self.settled:
            excess = max(excess, len(self.open) // 8, 1)
        yield from ((key, True) for key in self.open.oldest(excess))

    def evict(self, busy: Container[bytes]) -> int:
        """Forget settled traces, oldest first, until the limits hold; from then on the archive answers for them.

        `busy` traces have rows that are not durable yet and stay. Returns how many left.
        """
        leaving = []
        size, count = self.size, len(self.traces)
        for key in self.settled:
            if size <= self.limits.bytes and count <= self.limits.traces:
                break
            if key not in busy and key not in self.pinned:
                leaving.append(key)
                size -= self.traces[key].size
                count -= 1
        for key in leaving:
            state = self.traces.pop(key)
            del self.settled[key]
            self.size -= state.size
            self.known.add(trace_hash(state.project_id, state.trace_id))
        return len(leaving)
