"""A trace folded anew from its archived events, to complete rows: for replays and for the audit.

The fold, the pricing and the rows are the worker's own, so with the same code and the same book the rows are those that
a worker has written, to the byte, but for when. Memory is bounded as in a worker: of a trace above `trace_bytes` the
content of its observations is let go and read back some thousand at a time, whatever its size.
How it fails: clickhouse-connect's errors pass through. What a caller must look at before it writes: `unreadable`
(events that this version of the code cannot read) and `archived` against what stored rows were made from (part of the
archive has expired). Rows made from fewer events than stored ones must not replace them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

from clickhouse_connect.driver.client import Client

from pipeline.errors import SpanfoldError
from pipeline.events.keys import event_identity, trace_hash
from pipeline.events.model import Event, Kind, Micros
from pipeline.events.priced import Pricer
from pipeline.fold.build import build, rest
from pipeline.fold.shed import bring_back, lacking, shed, wanted
from pipeline.fold.state import TraceState
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent, TraceKey
from pipeline.store.rows import RawEventRow
from pipeline.stream.archived import Keep, Reading, take
from pipeline.stream.contents import contents
from pipeline.stream.retention import KeepForEver, Keeps
from pipeline.stream.rows import Rows, add_rows
from pipeline.stream.spoilt import tell


class ArchiveBehindError(SpanfoldError):
    """The archive no longer gives what it gave a moment ago."""


class RefoldError(SpanfoldError):
    """Our own code fails on a trace."""


class Refold:
    """One trace, or one group of scores without a trace, made from all that the archive has of it.

    `archived` counts its distinct archived events, `unreadable` those that could not be decoded or folded: with any of
    them the state is not to be used. `found` are events that a mended mapping finds in archived records and the archive
    lacks: they are folded in, and must be archived before the rows are written, as any event is.
    """

    def __init__(self, client: Client, name: TraceKey, keep: Keep | None = None) -> None:
        self._client, self._keep = client, keep
        self.state = TraceState(*name, Micros(2**62))
        self.archived = 0
        self.unreadable = 0
        self.found: list[RawEventRow] = []

    @property
    def name(self) -> TraceKey:
        """(project, trace)."""
        return self.state.project_id, self.state.trace_id

    def read(self, raws: Iterable[RawEvent], price: Pricer, trace_bytes: int) -> None:
        """Fold the archived events in, entity by entity as lookups.read_back gives them."""
        state, limit = self.state, trace_bytes
        for raw in raws:
            self.archived += 1
            try:
                if state.size > limit and not state.knows(raw.entity_id):
                    rest(state, price)
                    shed(state)
                    limit = max(limit, 2 * state.size)
                reading = take(state, raw, keep=self._keep)
                if reading is not None and len(reading.all) > 1 and raw.kind == Kind.OBSERVATION.value:
                    self._look_around(raw, reading)
            except OSError:  # the store of media says no
                raise
            except Exception as error:  # our own mistake, which must not end a run over other traces
                tell(error, "refold", self.name)
                reading = None
            if reading is None:
                self.unreadable += 1
                continue
        if self.found:
            self.found = [row._replace(first_seen=state.first_seen) for row in self.found]

    def rows(self, price: Pricer, *, settled: bool, now: Micros, keeps: Keeps | None = None) -> Iterator[Rows]:
        """All rows of the trace under the pricer's epoch; those of a giant in portions, the trace's own in the last.

        Also rows that take back what tombstones hide. To be asked once. `keeps` knows when they may leave; without
        it never, until `spanfold retention apply`. Raises RefoldError where our own code fails on the trace.
        """
        state = self.state
        until = partial((keeps or KeepForEver()).rows_until, *self.name)
        state.rewrite = True
        while True:
            rows = Rows([], [], [])
            try:
                built = build(state, price)
                add_rows(rows, state, built, settled=settled, now=now, until=until)
            except Exception as error:  # our own mistake
                tell(error, "refold", self.name)
                raise RefoldError(
                    f"The rows of trace {state.trace_id} of project {state.project_id} cannot be made: {error!r}.",
                    remedy="This is a bug: report it with the log's line fold_failed.",
                ) from error
            if built.complete:
                yield rows
                return
            yield rows._replace(traces=[])
            shed(state)
            self._bring_back(wanted(state))

    def _bring_back(self, ids: Sequence[str]) -> None:
        found = contents(self._client, self.state, ids)
        if lost := lacking(self.state, found):
            raise ArchiveBehindError(
                f"The archive gave observation {lost[0]} of trace {self.state.trace_id} and now lacks some of it.",
                remedy="Its events expired meanwhile, or a replica lags: run the command again.",
            )
        for id_, (layers, size) in found.items():
            bring_back(self.state, id_, layers, size)

    def _look_around(self, raw: RawEvent, reading: Reading) -> None:
        """Events beside this one in its record: trace events come before observations, so what is not known is new."""
        for position, event in enumerate(reading.all):
            identity = event_identity(event.event_id, raw.value)
            if event.kind is Kind.OBSERVATION or self.state.has(event.event_id, identity):
                continue
            self.state.restore(event, identity, -1, 0)
            self.found.append(_archived(raw, position, event, identity))


def refold(
    client: Client, names: Sequence[TraceKey], price: Pricer, trace_bytes: int, keep: Keep | None = None
) -> Iterator[Refold]:
    """Each of these traces that has an archived event, in the order of their names, one in memory at a time.

    `keep` is given the media in their events (archived.py); who writes the rows must give it.
    """
    for name, raws in groupby(lookups.read_back(client, names), lambda raw: (raw.project_id, raw.trace_id)):
        each = Refold(client, name, keep)
        each.read(raws, price, trace_bytes)
        yield each


def in_turn(refolds: Iterable[Refold]) -> Iterator[Refold]:
    """The same; a trace is gone from memory when the next one is asked for, without waiting for the collector."""
    for each in refolds:
        try:
            yield each
        finally:
            each.state.dissolve()


def _archived(raw: RawEvent, position: int, event: Event, identity: bytes) -> RawEventRow:
    return RawEventRow(
        raw.project_id,
        raw.trace_id,
        trace_hash(raw.project_id, raw.trace_id),
        event.event_id,
        identity,
        event.kind.value,
        event.entity_id,
        raw.content_type,
        raw.value,
        raw.receiver,
        raw.received_at,
        raw.topic,
        raw.partition,
        raw.offset,
        position,
        raw.timestamp,
        raw.first_seen,
    )
