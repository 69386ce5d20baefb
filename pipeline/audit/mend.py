"""Writing what is right: all rows of a trace as its archived events make them, and tombstones over what must not show.

1 Rows that claim more events than are archived cannot be outdone by a version that tells the truth; they are deleted,
  and only if the caller trusts the archive: should it have lost events, those rows are the only trace of them. First of
  all, for a merge of parts would give what is right up for them. 2 The rows are made under the newest price book,
  numbered as a worker numbers them: by the archived events, once workers have had the time to take that book. So a
  worker that has more events of the trace wins with its next row, one that has fewer loses, and one that has as many
  writes the same. 3 A row under a stale key, or of an observation that no event is about, gets a tombstone of at least
  its own version.
How it fails: the store's errors, as in a worker; done again, all of it comes to the same. Who dies after 1 leaves a
trace without rows, which the next audit finds.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from pipeline.audit.diagnose import Diagnosis, Divergence, Stored
from pipeline.audit.stored import Claim
from pipeline.errors import SpanfoldError
from pipeline.events.model import Micros
from pipeline.events.priced import Pricer
from pipeline.store import tables
from pipeline.store.insert import Inserter
from pipeline.store.rows import TraceRow
from pipeline.stream.archived import Keep
from pipeline.stream.refold import Refold, refold
from pipeline.stream.retention import Keeps
from pipeline.stream.rows import Rows, Until, tombstones

TABLES = {"trace": tables.TRACES, "observation": tables.OBSERVATIONS, "score": tables.SCORES}


class RefusedRowsError(SpanfoldError):
    """The store does not take a row that the audit wrote."""


class Mender:
    """Writes; one trace at a time. `keep` stores the media of its events before that (stream/archived.py)."""

    def __init__(
        self,
        client: Client,
        store: Inserter,
        keeps: Keeps,
        trace_bytes: int,
        *,
        trust_archive: bool,
        keep: Keep | None = None,
    ) -> None:
        self._client, self._store, self._keeps, self._keep = client, store, keeps, keep
        self._trace_bytes, self._trust_archive = trace_bytes, trust_archive

    async def mend(self, wrong: Diagnosis, claims: Sequence[Claim], price: Pricer) -> bool:
        """Steps 1 to 3; False where nothing was written: it has changed, or the archive would have to be trusted."""
        if Divergence.OVERCOUNTED in wrong.divergences and not self._trust_archive:
            return False
        now = Micros(time.time_ns() // 1000)
        folded = await asyncio.to_thread(self._fold, wrong, price)
        if folded is None:
            return False
        if claims:
            await asyncio.to_thread(self._delete, wrong, claims)  # 1
        portions = folded.rows(price, settled=wrong.settled, now=now, keeps=self._keeps)
        last = Rows([], [], [])
        while (portion := await asyncio.to_thread(next, portions, None)) is not None:
            await self._insert(portion)  # 2
            last = portion
        if wrong.stray:
            until = partial(self._keeps.rows_until, *wrong.name)
            await self._insert(_taken_back(folded, wrong.stray, last.traces, now, until))  # 3
        return True

    def _fold(self, wrong: Diagnosis, price: Pricer) -> Refold | None:
        for folded in refold(self._client, [wrong.name], price, self._trace_bytes, self._keep):
            same = folded.archived == wrong.archived and not folded.unreadable and not folded.found
            return folded if same else None
        empty = Refold(self._client, wrong.name)
        empty.state.first_seen = Micros(min((row.first_seen for row in wrong.stray), default=0))
        return None if wrong.archived else empty

    async def _insert(self, rows: Rows) -> None:
        token = uuid4().hex
        refused = []
        for table, some in ((tables.OBSERVATIONS, rows.observations), (tables.SCORES, rows.scores)):
            refused += await self._store.insert(table, some, f"{token}/{table}")
        refused += await self._store.insert(tables.TRACES, rows.traces, f"{token}/{tables.TRACES}")
        if refused:
            raise RefusedRowsError(
                f"ClickHouse refuses {len(refused)} rows: {refused[0].message}",
                remedy="Its events are among the dead letters: see spanfold dlq.",
            )

    def _delete(self, wrong: Diagnosis, claims: Iterable[Claim]) -> None:
        project, trace = wrong.name
        for claim in claims:
            own = "if(trace_id = '', score_group, trace_id)" if claim.kind == "score" else "trace_id"
            self._client.command(
                f"DELETE FROM {TABLES[claim.kind]} WHERE project_id = %(project)s AND {own} = %(trace)s"  # noqa: S608
                " AND row_version = %(version)s AND toUnixTimestamp64Micro(updated_at) = %(made)s",
                parameters={"project": project, "trace": trace, "version": claim.row_version, "made": claim.made},
            )


def _taken_back(folded: Refold, stray: Iterable[Stored], traces: Sequence[TraceRow], now: Micros, until: Until) -> Rows:
    """A tombstone over each stray row. One that claims more than is archived is deleted instead; what lay below it is
    covered by the version of what is right."""
    rows = Rows([], [], [])
    for row in stray:
        made = tombstones(folded.state, row.key.kind, row.key.id, traces, now, until)
        seen, least = Micros(row.first_seen), row.row_version if row.events <= folded.archived else 0
        rows.traces.extend(
            each._replace(first_seen=seen, row_version=max(least, each.row_version)) for each in made.traces
        )
        rows.observations.extend(
            each._replace(first_seen=seen, row_version=max(least, each.row_version)) for each in made.observations
        )
        rows.scores.extend(
            each._replace(first_seen=seen, row_version=max(least, each.row_version)) for each in made.scores
        )
    return rows
