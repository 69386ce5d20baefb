"""From traces to portions of rows that are written together.

Traces are read and folded some thousand events at a time; a giant alone, its rows in several portions. What must not be
made anew is left as it is, and counted: a trace whose stored rows were made from more events than the archive has
(it expired in part), and one with an event that this version of the code cannot read or make rows of.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client

from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.replay.scope import Chosen, made
from pipeline.store.lookups import TraceKey
from pipeline.store.rows import RawEventRow
from pipeline.stream.archived import Keep
from pipeline.stream.refold import Refold, RefoldError, in_turn, refold
from pipeline.stream.retention import Keeps
from pipeline.stream.rows import Rows

SLICE_TRACES = 2_000
SLICE_EVENTS = 20_000
SLICE_BYTES = 16 * 2**20
PORTION_ROWS = 20_000  # observations; more only where one trace is handed over in greater portions

EXPIRED, UNREADABLE = "skipped_expired", "skipped_unreadable"


@dataclass(slots=True)
class Portion:
    """Rows to write, newly found events to archive before them, the traces that are whole with it, and what it counts.

    `after` is the last trace of all that is done once this is written; None in the middle of a giant.
    """

    rows: Rows = field(default_factory=lambda: Rows([], [], []))
    found: list[RawEventRow] = field(default_factory=list)
    whole: list[Chosen] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, TraceKey]] = field(default_factory=list)
    after: TraceKey | None = None

    def add(self, rows: Rows) -> None:
        """Take rows in."""
        for mine, more in zip(self.rows, rows, strict=True):
            mine.extend(more)  # type: ignore[attr-defined]
        self.counts.update(
            {"trace_rows": len(rows.traces), "observation_rows": len(rows.observations), "score_rows": len(rows.scores)}
        )


class Folder:
    """Makes portions. `client` looks at the archive and the live tables."""

    def __init__(self, client: Client, price: Pricer, trace_bytes: int, keeps: Keeps, keep: Keep | None) -> None:
        """`keeps` knows how long rows stay; `keep` is given the media in the events, see stream/archived.py."""
        self._client, self._price, self._trace_bytes = client, price, trace_bytes
        self._keeps, self._keep = keeps, keep

    def portions(self, traces: Iterable[Chosen]) -> Iterator[Portion]:
        """All rows of these traces."""
        for some in _slices(traces):
            yield from self._portions(some)

    def _portions(self, some: Sequence[Chosen]) -> Iterator[Portion]:
        by_name = {each.name: each for each in some}
        stored = made(self._client, some)
        portion = Portion()
        portion.counts["events"] = sum(each.events for each in some)
        missing = set(by_name)
        for each in in_turn(refold(self._client, list(by_name), self._price, self._trace_bytes, self._keep)):
            missing.discard(each.name)
            fullest = stored[each.name].fullest if each.name in stored else 0
            if reason := _why_not(each, fullest // 2):
                portion.counts[reason] += 1
                portion.skipped.append((reason, each.name))
                continue
            portion.found += [
                row._replace(expires_at=self._keeps.archive_until(*each.name, row.timestamp)) for row in each.found
            ]
            settled = fullest == 2 * each.archived + 1
            now = Micros(time.time_ns() // 1000)
            try:
                for rows in each.rows(self._price, settled=settled, now=now, keeps=self._keeps):
                    portion.add(rows)
                    if len(portion.rows.observations) >= PORTION_ROWS:
                        yield portion
                        portion = Portion()
            except RefoldError:  # told already; what was made of it is right as far as it goes
                portion.counts[UNREADABLE] += 1
                portion.skipped.append((UNREADABLE, each.name))
                continue
            portion.whole.append(by_name[each.name])
            portion.counts["traces"] += 1
        portion.skipped += [(EXPIRED, name) for name in missing]
        portion.counts[EXPIRED] += len(missing)
        portion.after = some[-1].name
        yield portion


def _why_not(each: Refold, stored: int) -> str:
    """Why its rows must stay as they are; "" where they are made anew. `stored`: events that they were made from."""
    if each.unreadable:
        return UNREADABLE
    return EXPIRED if stored > each.archived else ""


def _slices(traces: Iterable[Chosen]) -> Iterator[list[Chosen]]:
    some: list[Chosen] = []
    events = size = 0
    for each in traces:
        events, size = events + each.events, size + each.bytes
        if some and (len(some) == SLICE_TRACES or events > SLICE_EVENTS or size > SLICE_BYTES):
            yield some
            some, events, size = [], each.events, each.bytes
        some.append(each)
    if some:
        yield some
