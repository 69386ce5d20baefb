"""The rate guard: a worker whose own code is at fault stops, instead of making dead letters of everything.

Problem: after a bad deploy every record may fail. Dead letters can be replayed, but a million of them is a day's work;
a worker that stops keeps its records in the log. Yet nobody who sends garbage, however much, may stop the pipeline.
Rule: failures raise a suspicion, they prove nothing.
1 Suspicion: of the records of the last `window` seconds more than `share` failed, and at least `count`: in decoding, or
  because our own code could not fold them, price them or make their rows (stream/spoilt.py).
2 Proof: events out of the archive, a few of each of some projects. All of them were decoded before. Where more than
  `share` of a project's cannot be decoded now, its events have become unreadable, and that is the doing of this
  version or its settings: garbage never gets into the archive. Where that is so for more than `share` of the projects,
  the worker stops. The chunk that raised the suspicion is neither dead-lettered nor committed.
3 Otherwise what was sent is at fault, or the code for the few: dead letters, said loudly, and no other look before
  `window` has passed.
How it fails: while the store does not answer, intake waits. An archive with nothing in it proves nothing.
Configured by SPANFOLD_GUARD_SHARE (1: no guard), SPANFOLD_GUARD_COUNT, SPANFOLD_GUARD_WINDOW.
"""

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog
from clickhouse_connect.driver.client import Client

from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Micros
from pipeline.events.priced import Pricer
from pipeline.events.reasons import DecodeError, Reason
from pipeline.fold.build import build
from pipeline.fold.state import TraceState
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent
from pipeline.stream.archived import record_of
from pipeline.stream.deadletters import DeadLetter
from pipeline.stream.exits import StopError
from pipeline.stream.persist import ask_store
from pipeline.stream.rows import Rows, add_rows
from pipeline.stream.spoilt import tell

log = structlog.get_logger(__name__)

DAYS = 7  # of the archive
PROJECTS = 50
EVENTS = 20  # of each project


class BadDeployError(StopError):
    """This version of the code, or its settings, cannot read what was read before."""


class Limits(NamedTuple):
    """When failures are suspicious; seconds, records."""

    share: float
    failures: int
    window: float


class Proof(NamedTuple):
    """What became of archived events: how many projects had some, and of which they fail, with the reasons."""

    projects: int
    failing: tuple[str, ...]
    reasons: Counter[Reason]


class Guard:
    """Looks at what became of every chunk."""

    def __init__(
        self, limits: Limits, prove: Callable[[], Awaitable[Proof]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._prove, self._clock = limits, prove, clock
        self._chunks: deque[tuple[float, int, int]] = deque()  # when, records, failed
        self._records = self._failed = 0
        self._quiet_until = 0.0

    async def look(self, records: int, dead: Sequence[DeadLetter]) -> None:
        """Count a chunk in. Raises BadDeployError when this worker must stop."""
        await self._weigh(records, len(dead), dead)

    async def fold_failed(self, events: int, dead: Sequence[DeadLetter]) -> None:
        """Our own code failed on so many events that were decoded; `dead` are what is known of them. As `look`."""
        if events:
            await self._weigh(0, events, dead)

    async def _weigh(self, records: int, failed: int, dead: Sequence[DeadLetter]) -> None:
        now = self._clock()
        self._count(now, records, failed)
        limits = self._limits
        suspicious = self._failed >= limits.failures and self._failed > limits.share * self._records
        if not suspicious or now < self._quiet_until:
            return
        proof = await self._prove()
        self._quiet_until = self._clock() + limits.window
        share = self._failed / max(self._records, 1)
        if len(proof.failing) > limits.share * proof.projects:
            raise _bad_deploy(proof, share)
        log.error(
            "many_records_fail",
            share=round(share, 3), reasons=_counted(Counter(letter.reason for letter in dead)),
            projects=_counted(Counter(_project(letter) for letter in dead)),
            archive_fails_for=list(proof.failing), archive_projects=proof.projects,
            remedy="The archive can be read, so it is what was sent: `spanfold dlq ls --count`.",
        )  # fmt: skip

    def _count(self, now: float, records: int, failed: int) -> None:
        self._chunks.append((now, records, failed))
        self._records += records
        self._failed += failed
        while self._chunks[0][0] < now - self._limits.window:
            _, old_records, old_failed = self._chunks.popleft()
            self._records -= old_records
            self._failed -= old_failed


def judge(events: Sequence[RawEvent], max_bytes: int, share: float, price: Pricer | None = None) -> Proof:
    """Decode archived events as a worker would; with a pricer also fold each by itself, price it and make its rows."""
    had: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    reasons: Counter[Reason] = Counter()
    for raw in events:
        had[raw.project_id] += 1
        reason = _failure(raw, max_bytes, price)
        if reason is not None:
            failed[raw.project_id] += 1
            reasons[reason] += 1
    failing = tuple(project for project in had if failed[project] > share * had[project])
    return Proof(len(had), failing, reasons)


async def prove(client: Client, max_bytes: int, share: float, prices: Callable[[], Pricer]) -> Proof:
    """Read a few events of some projects back and judge them."""

    def sample() -> list[RawEvent]:
        projects = lookups.archived_projects(client, DAYS, PROJECTS)
        return [event for project in projects for event in lookups.archived_events(client, project, DAYS, EVENTS)]

    return judge(await ask_store(sample, lambda: False), max_bytes, share, prices())


def _failure(raw: RawEvent, max_bytes: int, price: Pricer | None) -> Reason | None:
    try:
        events = decode_record(record_of(raw), max_bytes)
    except DecodeError as error:
        return error.reason
    except Exception as error:
        log.error("archived_event_unreadable", project=raw.project_id, trace=raw.trace_id, error=repr(error)[:500])
        return Reason.DECODER_FAILED
    try:
        if price is not None:
            _make_rows(raw, events, price)
    except Exception as error:
        tell(error, "guard", (raw.project_id, raw.trace_id))
        return Reason.FOLD_FAILED
    return None


def _make_rows(raw: RawEvent, events: Sequence[Event], price: Pricer) -> None:
    state = TraceState(raw.project_id, raw.trace_id, Micros(raw.first_seen))
    for event in events:
        state.add(event, event_identity(event.event_id, raw.value), raw.offset, len(raw.value))
    add_rows(Rows([], [], []), state, build(state, price), settled=False, now=Micros(0))


def _bad_deploy(proof: Proof, share: float) -> BadDeployError:
    some = ", ".join(proof.failing[:5])
    return BadDeployError(
        f"{share:.0%} of the last records failed, and archived events of {len(proof.failing)} of {proof.projects} "
        f"projects ({some}) that were decoded before cannot be decoded now: {_counted(proof.reasons)}.",
        remedy="Nothing of this was committed. Go back to the version or the settings that ran before, or correct "
        "them; the worker then takes the same records again. SPANFOLD_GUARD_SHARE=1 makes dead letters of them.",
    )


def _project(letter: DeadLetter) -> str:
    return (letter.record.key or b"").partition(b"/")[0].decode(errors="replace")


def _counted(counter: Counter[Reason] | Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common(5))
