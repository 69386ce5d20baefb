"""Does it add up? What was sent, what the topic holds, what the ledger says, what the views show: four witnesses.

Rule: the topic's records are counted by reading it again, the archive and the views by SQL, and what was sent by the
answers that the demo got. All of it stands for the same offsets: those that the ledger covers.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.config import Settings
from pipeline.demo.kafka import count_by_source, end_offsets
from pipeline.demo.queries import sql
from pipeline.demo.sent import Sent, Source
from pipeline.errors import SpanfoldError

_STORED_WITHIN, _LOOK_EVERY = 60.0, 0.25  # seconds


class NotStoredError(SpanfoldError):
    """What Kafka has acknowledged is not in the store in time."""


class Ledger(NamedTuple):
    """`ends`: partition -> the offset up to which all is told; the counts are of events below it."""

    ends: Mapping[int, int]
    new: int
    duplicate: int
    rejected: int


class Rows(NamedTuple):
    """Rows of the views; `evaluated` are the scores that evaluators made, `scores` all others."""

    traces: int
    observations: int
    scores: int
    evaluated: int


class Account(NamedTuple):
    """What each witness says."""

    on_topic: Counter[Source]
    archived: Counter[Source]
    rejected: Counter[Source]
    ledger: Ledger
    rows: Rows

    def duplicates(self, source: Source) -> int:
        """Records of a source that were neither new nor rejected."""
        return self.on_topic[source] - self.archived[source] - self.rejected[source]


async def wait_until_stored(client: Client, settings: Settings, progress: Callable[[int, int], None]) -> None:
    """Return when the ledger covers everything that is on the events topic now. Raises NotStoredError after 60 s."""
    ends = await end_offsets(settings.kafka_bootstrap, settings.events_topic)
    give_up = time.monotonic() + _STORED_WITHIN
    while True:
        covered = (await asyncio.to_thread(read_ledger, client, settings.events_topic)).ends
        stored = sum(min(end, covered.get(partition, 0)) for partition, end in ends.items())
        progress(stored, sum(ends.values()))
        if stored == sum(ends.values()):
            return
        if time.monotonic() > give_up:
            raise NotStoredError(
                f"{stored} of {sum(ends.values())} records are stored after {_STORED_WITHIN:g} s.",
                remedy="Run `spanfold demo --keep` and look into the worker's log.",
            )
        await asyncio.sleep(_LOOK_EVERY)


async def take_account(client: Client, settings: Settings) -> Account:
    """Ask all witnesses."""
    bootstrap, topic = settings.kafka_bootstrap, settings.events_topic
    ledger = await asyncio.to_thread(read_ledger, client, topic)
    return Account(
        on_topic=await count_by_source(bootstrap, topic, ledger.ends),
        archived=await asyncio.to_thread(_read_archive, client, topic, ledger.ends),
        rejected=await count_by_source(bootstrap, settings.dead_letters_topic),
        ledger=ledger,
        rows=await asyncio.to_thread(lambda: Rows(*client.query(sql("rows")).result_rows[0])),
    )


def read_ledger(client: Client, topic: str) -> Ledger:
    """The ledger of a topic."""
    rows = client.query(sql("ledger"), {"topic": topic}).result_rows
    new, duplicate, rejected = (sum(row[place] for row in rows) for place in (2, 3, 4))
    return Ledger({row[0]: row[1] for row in rows}, new, duplicate, rejected)


def differences(sent: Sent, account: Account) -> list[str]:
    """A sentence for each pair of witnesses that disagree; empty where all is well."""
    ledger, rows, on_topic, entities = account.ledger, account.rows, account.on_topic, sent.entities
    told = ledger.new + ledger.duplicate + ledger.rejected
    pairs = (
        ("events acknowledged over HTTP", sent.accepted[Source.HTTP], "on the topic", on_topic[Source.HTTP]),
        ("events acknowledged by Kafka", sent.accepted[Source.KAFKA], "on the topic", on_topic[Source.KAFKA]),
        ("new, duplicate and rejected", told, "records on the topic", on_topic.total()),
        ("new events in the ledger", ledger.new, "in the archive", account.archived.total()),
        ("rejected events in the ledger", ledger.rejected, "dead letters", account.rejected.total()),
        ("traces sent", len(entities.traces), "in the view", rows.traces),
        ("observations sent", len(entities.observations), "in the view", rows.observations),
        ("scores sent", len(entities.scores), "in the view", rows.scores),
    )
    return [f"{here:,} {what}, {there:,} {where}" for what, here, where, there in pairs if here != there]


def _read_archive(client: Client, topic: str, ends: Mapping[int, int]) -> Counter[Source]:
    by_partition = [ends.get(partition, 0) for partition in range(max(ends, default=0) + 1)]
    rows = client.query(sql("archived"), {"topic": topic, "ends": by_partition}).result_rows
    return Counter({Source(receiver): events for receiver, events in rows})
