"""An audit from its scope to its report.

1 The scope is cut into pieces; 2 each piece is compared by SQL; 3 what does not agree at first sight is folded anew and
judged, and where that is asked for all traces or a sample, with what their rows say (contents.py); 4 asked to fix, what
is wrong is written right and judged again. 5 At last traces under two keys are sought.
Traces whose events are in flight are not judged, nor such whose archive may have expired: both are counted.
How it fails: StoreError or clickhouse-connect's errors, RegistryError. Without `fix` it changes nothing. Broken off, it
is simply begun again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from pipeline.audit import suspects as sought
from pipeline.audit.contents import Books
from pipeline.audit.diagnose import Diagnosis, Divergence
from pipeline.audit.examine import Examined, examine
from pipeline.audit.mend import Mender
from pipeline.audit.scope import Piece, Recent, Scope
from pipeline.config import Settings
from pipeline.cost.book import PriceBook
from pipeline.cost.document import check_document
from pipeline.cost.price import ObservationPricer
from pipeline.events.model import Fields, Micros
from pipeline.events.priced import UNPRICED, Priced, Pricer
from pipeline.ops.reprice.run import TAKEN_SECONDS
from pipeline.registry import Registry, open_registry
from pipeline.store.client import connect
from pipeline.store.insert import Inserter
from pipeline.store.lookups import TraceKey
from pipeline.stream.media import open_media
from pipeline.stream.retention import RetentionBook

EXAMPLES = 1_000  # findings that are kept; all are counted
MOST_SAMPLED = 1_000  # traces of one look whose contents are compared, whatever the share
BATCH = 2_000  # traces that are judged between two lines of progress


@dataclass(frozen=True, slots=True)
class Finding:
    """A trace that was wrong; `mended` None where nobody asked for it, False where it still is."""

    project_id: str
    trace_id: str
    divergences: tuple[Divergence, ...]
    archived: int
    told: int
    mended: bool | None
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What an audit came to."""

    traces: int = 0
    suspects: int = 0
    compared: int = 0  # whose contents were compared
    findings: list[Finding] = field(default_factory=list)
    divergences: Counter[Divergence] = field(default_factory=Counter)
    wrong: int = 0
    mended: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    judged: set[TraceKey] = field(default_factory=set)  # wrong ones: under two keys a trace is a suspect twice

    @property
    def remaining(self) -> int:
        """Traces that are wrong still."""
        return self.wrong - self.mended

    def add(self, diagnosis: Diagnosis, mended: bool | None) -> None:
        """Count a wrong trace."""
        self.judged.add(diagnosis.name)
        self.wrong += 1
        self.mended += bool(mended)
        self.divergences.update(diagnosis.divergences)
        if len(self.findings) < EXAMPLES:
            self.findings.append(
                Finding(
                    *diagnosis.name,
                    tuple(diagnosis.divergences),
                    diagnosis.archived,
                    diagnosis.told,
                    mended,
                    tuple(diagnosis.columns),
                )
            )


Progress = Callable[[int, int, Report], None]


class Audit:
    """Opened on a store and a registry; `close` it. `fix` writes, and `trust_archive` lets it delete rows (mend.py)."""

    def __init__(
        self, settings: Settings, *, fix: bool = False, trust_archive: bool = False, client: Client | None = None
    ) -> None:
        self._settings, self._fix = settings, fix
        self._own = client is None
        self.client = client or connect(settings, deadline=5.0, timeout=600.0)
        self._price: Pricer = NoPrices()
        self._store = Inserter(self.client)
        self._registry = open_registry(settings.registry)
        self._books = Books(self._registry)
        self._keeps = RetentionBook(self._registry)
        keep = open_media(settings).put if fix else None
        self._mender = Mender(
            self.client, self._store, self._keeps, settings.trace_bytes, trust_archive=trust_archive, keep=keep
        )

    def close(self) -> None:
        """Stop the threads."""
        self._store.close()
        self._registry.close()
        if self._own:
            self.client.close()

    async def everything(self, scope: Scope, progress: Progress = lambda *_: None, *, contents: bool = False) -> Report:
        """Steps 1 to 5; with `contents` what the rows of every trace say is compared, too."""
        report = Report()
        work = await asyncio.to_thread(sought.pieces, self.client, scope, datetime.now(UTC))  # 1
        for done, piece in enumerate(work, 1):
            await self._look(piece, report)
            if contents:
                await self._compare(piece, sought.ALL, sought.EVERY, report)
            progress(done, len(work), report)
        twice = await asyncio.to_thread(lambda: list(sought.split(self.client, scope, report.traces)))  # 5
        await self._judge(twice, report)
        return report

    async def some(self, names: Sequence[TraceKey], *, contents: bool = False) -> Report:
        """These traces, whatever they look like."""
        report = Report(traces=len(names))
        await self._judge(names, report, contents=contents)
        return report

    async def recent(self, where: Recent, *, share: float = 0.0) -> Report:
        """Traces with an event between some offsets; of a share of them (0 to 1) also what their rows say."""
        report = Report()
        await self._look(where, report)
        if share and where.hours:
            await self._compare(where, share, MOST_SAMPLED, report)
        return report

    async def _compare(self, where: Piece | Recent, share: float, most: int, report: Report) -> None:
        names = await asyncio.to_thread(sought.sample, self.client, where, share, most)
        for at in range(0, len(names), BATCH):
            await self._judge(names[at : at + BATCH], report, contents=True)

    async def _look(self, where: Piece | Recent, report: Report) -> None:
        look = await asyncio.to_thread(sought.suspects, self.client, where)  # 2
        report.traces += look.traces
        for at in range(0, len(look.suspects), BATCH):
            await self._judge(look.suspects[at : at + BATCH], report)

    async def _judge(self, names: Sequence[TraceKey], report: Report, *, contents: bool = False) -> None:
        names = [name for name in names if name not in report.judged]
        if not names:
            return
        report.suspects += len(names)
        await self._keeps.refresh()
        examined = await self._examine(names, contents)  # 3
        report.compared += examined.compared
        report.skipped.update(examined.skipped)
        mended: dict[TraceKey, bool | None] = {each.name: None for each in examined.wrong}
        if self._fix and examined.wrong:
            await self._take_prices()
            for each in examined.wrong:
                claims = examined.claims.get(each.name, [])
                mended[each.name] = await self._mender.mend(each, claims, self._price)  # 4
            again = await self._examine([name for name, written in mended.items() if written], contents)
            for still in again.wrong:
                mended[still.name] = False
        for each in examined.wrong:
            report.add(each, mended[each.name])

    async def _take_prices(self) -> None:
        """The newest book, once workers have it: rows of a later epoch than theirs would beat fuller ones of theirs."""
        newest = await asyncio.to_thread(newest_pricer, self._registry, self._price)
        if newest is not self._price:
            published = await asyncio.to_thread(self._registry.newest_prices)
            age = (datetime.now(UTC) - published.published_at).total_seconds() if published else TAKEN_SECONDS
            await asyncio.sleep(max(TAKEN_SECONDS - age, 0.0))
        self._price = newest

    async def _examine(self, names: Sequence[TraceKey], contents: bool) -> Examined:
        settings, books = self._settings, self._books if contents else None
        return await asyncio.to_thread(
            examine, self.client, settings.events_topic, names, self._price, self._keeps, settings.trace_bytes, books
        )


class NoPrices:
    """For who only looks: which rows there are does not depend on what they cost."""

    epoch = 0

    def __call__(self, project_id: str, fields: Fields, start_time: Micros) -> Priced:
        """Nothing costs anything."""
        return UNPRICED


def newest_pricer(registry: Registry, known: Pricer) -> Pricer:
    """What a worker prices with now; `known` where that is it."""
    newest = registry.newest_prices()
    if isinstance(known, ObservationPricer) and known.epoch == (newest.epoch if newest else 0):
        return known
    return ObservationPricer(PriceBook(check_document(newest.document), epoch=newest.epoch) if newest else PriceBook())
