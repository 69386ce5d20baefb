"""Folding suspects anew and comparing: exact, and of one trace at a time."""

import time
from collections.abc import Iterable, Iterator, Sequence

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.audit.contents import ANOTHER_BOOK, Books, Comparison, Expected, epochs_of
from pipeline.audit.diagnose import Diagnosis, Right, Stored, diagnose
from pipeline.audit.stored import Claim, Read, read
from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.store.lookups import TraceKey
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream.refold import Refold, RefoldError, in_turn, refold
from pipeline.stream.retention import Keeps

log = structlog.get_logger(__name__)

AT_ONCE = 200  # traces whose rows are read together
NEVER = Micros(2**62)


class Examined:
    """What came of the suspects: `wrong` ones, and how many could not be judged and why."""

    def __init__(self) -> None:
        self.wrong: list[Diagnosis] = []
        self.claims: dict[TraceKey, list[Claim]] = {}  # versions that claim more events than are archived
        self.skipped: dict[str, int] = {}
        self.compared = 0  # traces whose contents were compared

    def skip(self, why: str, traces: int = 1) -> None:
        """Not judged."""
        if traces:
            self.skipped[why] = self.skipped.get(why, 0) + traces


def examine(
    client: Client,
    topic: str,
    names: Sequence[TraceKey],
    price: Pricer,
    keeps: Keeps,
    trace_bytes: int,
    books: Books | None = None,
) -> Examined:
    """Judge these traces; with `books` what their rows say, too.

    Their events are in the archive before their rows are looked at last (stored.py).
    """
    examined = Examined()
    for at in range(0, len(names), AT_ONCE):
        some = names[at : at + AT_ONCE]
        found = read(client, topic, some)
        judged = [name for name in some if _can_be_judged(name, found, examined)]
        comparison = Comparison()
        rights: dict[TraceKey, Right] = {}
        seen = set()
        for pricer, epoch, group in _by_book(judged, found, price, books):
            for folded in in_turn(refold(client, group, pricer, trace_bytes)):
                seen.add(folded.name)
                if not _as_read(folded, found, keeps, examined):
                    continue
                right = _right(folded, pricer, comparison if books else None)
                if right is None:
                    examined.skip("unreadable")
                    continue
                rights[folded.name] = right
                if books and not folded.found:
                    comparison.judge(folded.name, Expected(folded.archived, right.hour, epoch))
        columns = comparison.differing(client)
        examined.compared += len(rights) if books else 0
        examined.skip(ANOTHER_BOOK, len(comparison.unpriced))
        for name in judged:
            if name not in seen:
                rows = found.rows.get(name, [])
                rights[name] = Right(0, min((row.first_seen for row in rows), default=0))
        for name, right in rights.items():
            _judge(name, right, found, examined, columns.get(name, []))
    return examined


def _by_book(
    names: Sequence[TraceKey], found: Read, price: Pricer, books: Books | None
) -> Iterator[tuple[Pricer, int | None, list[TraceKey]]]:
    """Traces by the book that made their rows: with its epoch, None where it is not known."""
    if books is None:
        yield price, None, list(names)
        return
    groups: dict[tuple[int, ...], list[TraceKey]] = {}
    for name in names:
        groups.setdefault(tuple(sorted(epochs_of(found.rows.get(name, [])))), []).append(name)
    for epochs, group in groups.items():
        pricer, known = books.of(epochs)
        yield pricer, max(epochs, default=0) if known else None, group


def _as_read(folded: Refold, found: Read, keeps: Keeps, examined: Examined) -> bool:
    """Whether the trace can be judged by what was folded."""
    if folded.unreadable:
        log.error("audit_cannot_read", project=folded.name[0], trace=folded.name[1], events=folded.unreadable)
        examined.skip("unreadable")
    elif keeps.rows_until(*folded.name, folded.state.first_seen) <= time.time():
        examined.skip("rows expired")
    elif keeps.archive_until(*folded.name, folded.state.first_seen) <= time.time():
        examined.skip("archive expired")  # of its first events at least, though a worker may still have them in memory
    elif folded.archived != found.archived.get(folded.name, 0):
        examined.skip("in flight")
    else:
        return True
    return False


def _can_be_judged(name: TraceKey, found: Read, examined: Examined) -> bool:
    if found.in_flight.get(name):
        examined.skip("in flight")
    elif any(row.expired for row in found.rows.get(name, [])):
        examined.skip("archive expired")
    else:
        return True
    return False


def _right(folded: Refold, price: Pricer, comparison: Comparison | None) -> Right | None:
    """The keys of its rows; a giant's come in portions and are not kept. None where our own code cannot make them."""
    right = Right(folded.archived, folded.state.first_seen)
    try:
        _show(right, folded, price, comparison)
    except RefoldError as error:
        log.error("audit_cannot_fold", project=folded.name[0], trace=folded.name[1], error=type(error).__name__)
        return None
    return right


def _show(right: Right, folded: Refold, price: Pricer, comparison: Comparison | None) -> None:
    for rows in folded.rows(price, settled=False, now=NEVER):
        if comparison is not None:
            comparison.expect(folded.name, rows)
        right.shown.update(("trace", row.trace_id) for row in rows.traces if not row.is_deleted)
        right.shown.update(("observation", row.observation_id) for row in rows.observations if not row.is_deleted)
        right.shown.update(("score", row.score_id) for row in rows.scores if not row.is_deleted)


def _judge(name: TraceKey, right: Right, found: Read, examined: Examined, columns: Sequence[str]) -> None:
    stored: list[Stored] = found.rows.get(name, [])
    diagnosis = diagnose(name, right, stored, columns)
    if diagnosis.divergences:
        examined.wrong.append(diagnosis)
        over = list(_overcounting(found.claims.get(name, []), right.events))
        if over:
            examined.claims[name] = over


def _overcounting(claims: Iterable[Claim], events: int) -> Iterator[Claim]:
    return (claim for claim in claims if claim.row_version % EPOCH_STEP // 2 > events)
