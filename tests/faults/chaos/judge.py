"""What a fault did: everything that was sent against everything that is in the store, and the product's own account.

Rule: nobody is asked but the producers (what was sent), Kafka (what the log has, what is committed) and ClickHouse.
The rows must be those that the oracle makes of the events sent, whatever order, repetition or fault they went
through. Beside that the product's own commands must say that all is well (account.py): the ledger, and the audit.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.config import Settings
from pipeline.cost.price import ObservationPricer
from pipeline.events.decode import decode_record
from pipeline.events.keys import event_identity
from pipeline.events.model import Micros, Record
from pipeline.ops.kafka_admin import BrokerUnreachableError
from tests.faults.chaos.account import own_account
from tests.faults.chaos.bed import Bed
from tests.faults.chaos.load import Load
from tests.fixtures.shown import shown
from tests.fixtures.whole_traffic import known
from tests.oracle.fold import Views, views
from tests.oracle.table import difference

DONE_WITHIN = 180.0  # seconds until everything is committed, settled and evaluated
Identity = tuple[str, str]  # event id, hash of the bytes


@dataclass(slots=True)
class Verdict:
    """What the comparison found; everything but `events` and the counts of attempts should be 0 or empty."""

    events: int = 0  # distinct events that were sent
    records: int = 0  # that Kafka took, repetitions included
    lost: int = 0  # events that are not in the archive, and rows that are not in the views
    double: int = 0  # rows that should not be there, traces that count more events than there are
    wrong: int = 0  # rows that say something else than the oracle
    unevaluated: int = 0  # settled traces without their one score
    ledger: list[str] = field(default_factory=list)  # what does not balance, and what the audit finds
    details: list[str] = field(default_factory=list)  # the first differences

    @property
    def good(self) -> bool:
        """True where nothing was lost, counted twice or changed."""
        return not (self.lost or self.double or self.wrong or self.unevaluated or self.ledger)

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def wait_until_done(bed: Bed, load: Load) -> None:
    """Return once all is committed, settled and evaluated. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + DONE_WITHIN
    while (missing := _undone(bed, load)) is not None:
        assert time.monotonic() < deadline, f"{missing}, {DONE_WITHIN:g} s after the end of the load"
        time.sleep(0.2)


def _undone(bed: Bed, load: Load) -> str | None:
    try:
        if lag := bed.lag():
            return f"{lag} records are not committed"
    except BrokerUnreachableError as error:
        return str(error)
    where = f"startsWith(trace_id, '{load.prefix}')"
    if open_ := bed.stack.count(f"SELECT count() FROM traces WHERE {where} AND NOT settled"):
        return f"{open_} traces are not settled"
    if missing := _unevaluated(bed, load):
        return f"{missing} traces are not evaluated"
    return None


def judge(bed: Bed, load: Load, began: Mapping[int, int], since: datetime) -> Verdict:
    """Compare. `began` is where the log ended, by partition, before the load; `since` when that was."""
    expected_events = {(each.event.event_id, each.identity.hex()): each for each in known(load.known)}
    logged, records = asyncio.run(read_log(bed.settings, began))
    archived = _archived(bed, load)
    verdict = Verdict(events=len(expected_events), records=records)
    missing = expected_events.keys() - archived
    verdict.lost = len(missing)
    verdict.details += [f"event {id_} is not in the archive" for id_, _ in sorted(missing)[:5]]
    _compare_rows(bed, load, views(expected_events.values(), ObservationPricer()), verdict)
    miscounted = _miscounted(bed, load)
    verdict.double += len(miscounted)
    verdict.details += [
        f"trace {id_} counts {has} events, {should} are archived" for id_, has, should in miscounted[:5]
    ]
    verdict.unevaluated = _unevaluated(bed, load)
    verdict.ledger = own_account(bed.settings, since)
    if unknown := {each for each in logged if each not in archived}:
        verdict.ledger.append(f"{len(unknown)} events are in the log and not in the archive")
    if unsent := archived - logged:
        verdict.ledger.append(f"{len(unsent)} events are in the archive and not in the log")
    return verdict


def _compare_rows(bed: Bed, load: Load, expected: Views, verdict: Verdict) -> None:
    found = shown(bed.stack, f"startsWith(trace_id, '{load.prefix}')")
    found["scores"] = {key: row for key, row in found["scores"].items() if row["source"] != "EVAL"}
    wrong: set[str] = set()
    for line in difference(found, expected):
        verdict.details += [line] * (len(verdict.details) < 20)
        name, _, what = line.partition(")")
        if what.endswith("is missing"):
            verdict.lost += 1
        elif what.endswith("should not be there"):
            verdict.double += 1
        else:
            wrong.add(name)
    verdict.wrong = len(wrong)


def _archived(bed: Bed, load: Load) -> set[Identity]:
    sql = f"SELECT DISTINCT event_id, hex(identity) FROM raw_events WHERE startsWith(trace_id, '{load.prefix}')"
    return {(str(id_), str(hash_).lower()) for id_, hash_ in bed.stack.client.query(sql).result_rows}


def _miscounted(bed: Bed, load: Load) -> list[tuple[str, int, int]]:
    """Traces whose row was made from another number of events than the archive has: what the audit looks for."""
    where = f"startsWith(trace_id, '{load.prefix}')"
    sql = f"""
        SELECT trace_id, intDiv(row_version % pow(2, 40), 2) AS told, archived.events
        FROM traces
        LEFT JOIN (SELECT trace_id, uniqExact(event_id, identity) AS events FROM raw_events WHERE {where}
                   GROUP BY trace_id) AS archived USING (trace_id)
        WHERE {where} AND told != archived.events"""
    return [(str(id_), int(told), int(events)) for id_, told, events in bed.stack.client.query(sql).result_rows]


def _unevaluated(bed: Bed, load: Load) -> int:
    """Traces that do not have exactly one score of the evaluator's."""
    where = f"startsWith(trace_id, '{load.prefix}')"
    return bed.stack.count(f"""
        SELECT count() FROM traces
        LEFT JOIN (SELECT trace_id, count() AS n FROM scores WHERE {where} AND source = 'EVAL' GROUP BY trace_id)
        AS made USING (trace_id) WHERE {where} AND made.n != 1""")


async def end_offsets(settings: Settings) -> dict[int, int]:
    """Where the events topic ends, by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        tps = [TopicPartition(settings.events_topic, number) for number in range(settings.topic_partitions)]
        return {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
    finally:
        await consumer.stop()


async def read_log(settings: Settings, began: Mapping[int, int]) -> tuple[set[Identity], int]:
    """The distinct events in the log from `began` on, and how many records they came in."""
    ends = await end_offsets(settings)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, fetch_max_bytes=64 * 2**20)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.events_topic, number) for number in began])
        for number, offset in began.items():
            consumer.seek(TopicPartition(settings.events_topic, number), offset)
        found: set[Identity] = set()
        records, should = 0, sum(ends.values()) - sum(began.values())
        async with asyncio.timeout(60):
            while records < should:
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    records += len(some)
                    for each in some:
                        found.update(_identities(each))
        return found, records
    except KafkaError as error:
        raise AssertionError(f"the log cannot be read: {error!r}") from error
    finally:
        await consumer.stop()


def _identities(each: Any) -> list[Identity]:
    headers = tuple(each.headers)
    record = Record(each.topic, each.partition, each.offset, Micros(0), each.key, each.value, headers)
    return [
        (event.event_id, event_identity(event.event_id, each.value).hex()) for event in decode_record(record, 2**22)
    ]
