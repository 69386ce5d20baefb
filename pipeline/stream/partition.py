"""One assigned partition: the traces of it that are in memory, and what else is known of it.

It lives from assignment to revocation. All of it can be made again from the archive, so it is simply dropped.

A trace is in one of three states here. In memory (`traces`, in the order of their last event), settled or not. Asleep:
open, but evicted; only its key waits in the settle queue, and it is read back when it is time to settle. Or away:
settled and evicted; the filter of known traces remembers that the archive may have it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from pipeline.events.keys import record_key, trace_hash
from pipeline.events.model import Micros
from pipeline.fold.build import has_ended
from pipeline.fold.shed import shed
from pipeline.fold.state import TraceState
from pipeline.stream.known import KnownTraces
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.part import Part, Parts
from pipeline.stream.settle import SettleQueue

SECOND = 1_000_000
WAKE_AT_ONCE = 2_000  # sleeping traces that are read back at a time
SECONDS_TO_LOOK = 0.02  # at whether a crowd has gone

Clock = Callable[[], Micros]


def monotonic() -> Micros:
    """Microseconds of a clock that never goes back."""
    return Micros(time.monotonic_ns() // 1000)


class Limits(NamedTuple):
    """When a partition's traces settle (seconds) and how much of them stays in memory."""

    quiet: float  # settle this long after the last event, once ended
    idle: float  # or this long, ended or not
    longest: float  # or this long after the first event since it was opened, however lively
    traces: int  # in memory
    bytes: int  # of memory that they take
    open: int  # open traces, asleep or in memory
    trace_bytes: int  # of memory of one trace; beyond, what is written of it is let go (fold/shed.py)


class Thrown(NamedTuple):
    """A trace that was thrown out of memory and has to come back (stream/spoilt.py)."""

    name: tuple[str, str]  # project, trace
    part: Part  # of the batch with the newest event of it: once that is flushed, the archive has all
    held: Part  # is not committed before the trace came back and its rows are durable
    first_seen: Micros


class Barred(NamedTuple):
    """A trace that could not be read back, because our own code failed on it."""

    error: Exception
    first_seen: Micros


class Partition:
    """State of one partition; keys are Kafka record keys (PROJECT/TRACE)."""

    def __init__(self, tp: TopicPartition, limits: Limits, clock: Clock = monotonic) -> None:
        self.tp = tp
        self.limits = limits
        self.clock = clock
        self.traces: dict[bytes, TraceState] = {}
        self.unwritten: dict[bytes, TraceState] = {}  # traces with rows that are out of date in the store
        self.parts = Parts()
        self.known = KnownTraces()
        self.open = SettleQueue[bytes](Micros(int(limits.quiet * SECOND)), Micros(int(limits.idle * SECOND)))
        self.opened: dict[bytes, Micros] = {}  # when the open traces in memory were opened, oldest first
        self.settled: dict[bytes, None] = {}  # in memory and settled, oldest first: the first to leave
        self.sleeping: dict[bytes, int] = {}  # open, but evicted: key -> length of its project's id, below 0: has ended
        self.woken: dict[bytes, None] = {}  # read back to settle
        self.thrown: dict[bytes, Thrown] = {}  # they come back before anything of them is folded
        self.barred: dict[bytes, Barred] = {}  # just asked for, and nobody can read them back
        self.unfit: dict[bytes, Exception] = {}  # their content could not come back: the next look puts them aside
        self._called: dict[bytes, None] = {}  # sleeping, and to be read back, in order
        self.giants: set[bytes] = set()  # traces that outgrew their limit
        self.size = 0  # bytes of memory of its traces
        self.taken: int | None = None  # the next offset to take in, once something was
        self.count = 0  # partitions of the topic; 0 while that is not known
        self.fewest = tp.partition + 1  # there must be so many
        self.ready = asyncio.Event()
        self.revoked = False
        self.pinned: set[bytes] = set()  # traces that are being read back for events that wait: they must not leave

    def is_revoked(self) -> bool:
        """True once the partition is somebody else's."""
        return self.revoked

    def create(self, key: bytes, project_id: str, trace_id: str, first_seen: Micros) -> TraceState:
        """A trace of which nothing is in memory."""
        state = self.traces[key] = TraceState(project_id, trace_id, first_seen)
        self.size += state.size
        return state

    def perhaps_archived(self, project_id: str, trace_id: str) -> bool:
        """True where ClickHouse may hold events of a trace that is not in memory."""
        return trace_hash(project_id, trace_id) in self.known

    def changed(self, key: bytes, state: TraceState, part: Part, now: Micros) -> None:
        """Rows of the trace are out of date: it holds the part in which that began."""
        state.heard = now
        if state.size > self.limits.trace_bytes:
            self.giants.add(key)
        if key not in self.unwritten:
            self.unwritten[key] = state
            state.unwritten_since = now
        if state.holder is None:
            state.holder = part
            part.holders += 1
            state.round = None  # one that held nothing is over: the next one has this, too
        elif (round_ := state.round) is not None and round_.holder is None:
            round_.holder = part  # it comes behind what is held, so it need not be held yet

    def delayed(self, key: bytes, state: TraceState, now: Micros, *, settles: bool) -> None:
        """Not all of its rows could be made: content has to come back first (fold/shed.py). It is asked again."""
        if key not in self.unwritten:
            self.unwritten[key] = state
            state.unwritten_since = now
        if settles:
            self.woken[key] = None

    def written(self, key: bytes, state: TraceState) -> Part | None:
        """All rows of the trace are on their way; the part that it held."""
        if self.unwritten.pop(key, None) is None:
            return None
        part, state.holder, state.round = state.holder, None, None
        return part if isinstance(part, Part) else None

    def caught_up(self, state: TraceState, now: Micros) -> Part | None:
        """All rows are on their way that were out of date when a round began; the part that it held until then.

        From now on it holds the part in which something came after that. It rests before the next round, as it would
        had it been whole.
        """
        part, round_, state.round = state.holder, state.round, None
        state.holder = None if round_ is None else round_.holder
        if isinstance(state.holder, Part):
            state.holder.holders += 1
        state.unwritten_since = now
        return part if isinstance(part, Part) else None

    def touched(self, key: bytes, now: Micros) -> None:
        """The trace got an event that is no score: it is open, its wait for settling starts anew."""
        self.settled.pop(key, None)
        self._stands_up(key)
        self.open.heard(key, now)
        self.opened.setdefault(key, now)
        self.traces[key] = self.traces.pop(key)  # to the end: heard of last

    def settle(self, key: bytes) -> None:
        """The trace is settled until the next event."""
        self.open.forget(key)
        self._stands_up(key)
        self.opened.pop(key, None)
        self.settled[key] = None

    def forget(self, key: bytes) -> None:
        """Nothing is to be done for the trace any more, but what its next event asks for."""
        self.open.forget(key)
        self._stands_up(key)
        for some in (self.opened, self.settled, self.unwritten, self.woken, self.unfit):
            some.pop(key, None)
        self.giants.discard(key)

    def is_settled(self, key: bytes) -> bool:
        """True between settling and the next event."""
        return key in self.settled

    def due(self, now: Micros) -> Iterator[tuple[bytes, bool]]:
        """(key, settles for certain) of traces in memory whose time has come; with False only if it has ended.

        Where open traces exceed their limit, those silent longest settle early.
        """
        for key in self.open.quiet(now):
            if key in self.traces:
                yield key, False
            elif self.sleeping.get(key, 0) < 0:
                self._call(key)
        for key in list(self.woken):
            if key in self.traces:
                yield key, True
            del self.woken[key]
        for key in self.open.idle(now):
            yield from self._certain(key)
        for key in self.open.oldest(len(self.open) - self.limits.open):
            yield from self._certain(key)
        since = now - self.limits.longest * SECOND
        for key, opened in self.opened.items():
            if opened > since:
                break
            yield key, True

    def asleep(self, room: int = WAKE_AT_ONCE) -> list[tuple[str, str]]:
        """Hand over (project, trace) of so many sleeping traces that must be read back to settle, at the most."""
        return [self._name(key, self._stands_up(key)) for key in list(islice(self._called, max(room, 0)))]

    @property
    def is_crowded(self) -> bool:
        """True while so many traces wait to be read back that no new ones should come: as many again as may be open."""
        return len(self._called) > max(self.limits.open, WAKE_AT_ONCE)

    async def until_calm(self) -> None:
        """Wait until it is not crowded any more, or is revoked."""
        while self.is_crowded and not self.revoked:
            await asyncio.sleep(SECONDS_TO_LOOK)

    async def until_fewer(self) -> None:
        """The same for whoever brings open traces in from the store: those above the limit are called for first."""
        while (self.is_crowded or len(self.open) > self.limits.open + WAKE_AT_ONCE) and not self.revoked:
            await asyncio.sleep(SECONDS_TO_LOOK)

    def wake(self, names: Iterable[tuple[str, str]]) -> None:
        """These were read back: they settle now. One that is not there has nothing in the store and is forgotten."""
        for project_id, trace_id in names:
            key = record_key(project_id, trace_id)
            if key in self.traces and key not in self.settled:
                self.woken[key] = None

    def evict(self, share: float = 1.0) -> int:
        """Let traces go until this share of the limits holds: settled ones first, then the open ones silent longest.

        Traces with rows that are not durable stay. Returns how many left; the archive answers for them from now on.
        """
        self._shed_giants()
        size, count, most = self.size, len(self.traces), self.limits.bytes * share
        if size <= most and count <= self.limits.traces:
            return 0
        leaving = []
        for key in self._candidates():
            if size <= most and count <= self.limits.traces:
                break
            leaving.append(key)
            size -= self.traces[key].size
            count -= 1
        for key in leaving:
            state = self.traces.pop(key)
            if self.settled.pop(key, key) is key:
                self.fall_asleep(key, state.project_id, ended=has_ended(state))
            self.opened.pop(key, None)
            self.size -= state.size
            self.known.add(trace_hash(state.project_id, state.trace_id))
            state.dissolve()
        return len(leaving)

    def _shed_giants(self) -> None:
        for key in self.giants - self.pinned:
            if (state := self.traces.get(key)) is not None:
                self.size -= shed(state)
        self.giants &= self.pinned

    def fall_asleep(self, key: bytes, project_id: str, *, ended: bool) -> None:
        """An open trace is not in memory: unless heard of it settles when quiet, or if it has not `ended` when idle."""
        length = len(project_id.encode())
        self.sleeping[key] = -length if ended else length
        if ended:
            self.open.heard(key, self.clock())
        else:
            self.open.recovered(key, self.clock())

    def _candidates(self) -> Iterator[bytes]:
        """Traces that may leave memory, the first to leave first. What was read back to settle does so before."""
        for key in self.settled:
            if key not in self.unwritten and key not in self.pinned:
                yield key
        settled, unwritten, pinned, woken = self.settled, self.unwritten, self.pinned, self.woken
        for key in self.traces:
            if key not in settled and key not in unwritten and key not in pinned and key not in woken:
                yield key

    def _certain(self, key: bytes) -> Iterator[tuple[bytes, bool]]:
        """It settles now; one that sleeps is called first."""
        if key in self.traces:
            yield key, True
        else:
            self._call(key)

    def _call(self, key: bytes) -> None:
        """Have it read back; until there is room for it, it is a key in a queue."""
        if key in self.sleeping:
            self._called[key] = None

    def _stands_up(self, key: bytes) -> int:
        """It sleeps no more; the length of its project's id, 0 where it did not sleep."""
        self._called.pop(key, None)
        return abs(self.sleeping.pop(key, 0))

    @staticmethod
    def _name(key: bytes, length: int) -> tuple[str, str]:
        return key[:length].decode(), key[length + 1 :].decode()
