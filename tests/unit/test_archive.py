"""A trace that was read back: is it settled, and are its stored rows what they would be now?"""

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import event_identity
from pipeline.events.model import Event, Fields, Kind
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent, StoredTrace
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream import archived
from pipeline.stream.archive import Archive
from pipeline.stream.partition import Partition
from tests.unit.collecting import AT, KEY, Worker

EVENT = Event("p", "t", Kind.TRACE, "t", "e", AT, Fields(name="n"))
EPOCH = ObservationPricer().epoch


async def read_back(monkeypatch: pytest.MonkeyPatch, *stored: StoredTrace) -> Partition:
    value = to_canonical_json(EVENT)
    raw = RawEvent(
        "p", "t", "e", event_identity("e", value), "trace", "t", "application/json", value, "kafka", AT, "events", 0, 7,
        0, AT, AT,
    )  # fmt: skip
    monkeypatch.setattr(lookups, "read_back", lambda *_: iter([raw]))
    monkeypatch.setattr(lookups, "stored_traces", lambda *_: {(row.project_id, row.trace_id): row for row in stored})
    partition = Worker().partition
    archive = Archive(None, ObservationPricer, lambda _: 1, 10**9)  # type: ignore[arg-type]
    await archive.read_back(partition, [("p", "t")])
    return partition


def stored(*, epoch: int = EPOCH, events: int = 1, settled: bool = True) -> StoredTrace:
    return StoredTrace("p", "t", AT, epoch * EPOCH_STEP + 2 * events + settled, settled)


@pytest.mark.parametrize(
    ("row", "settled", "rewrite"),
    [
        (stored(), True, False),
        (stored(settled=False), False, False),
        (stored(epoch=EPOCH - 1 if EPOCH else 1), True, True),  # other prices: no reason to evaluate it again
        (stored(epoch=EPOCH - 1 if EPOCH else 1, settled=False), False, True),
        (stored(events=0), False, True),  # an archived event is in no row yet
    ],
)
async def test_what_the_stored_row_tells(
    monkeypatch: pytest.MonkeyPatch, row: StoredTrace, settled: bool, rewrite: bool
) -> None:
    partition = await read_back(monkeypatch, row)
    assert (partition.is_settled(KEY), KEY in partition.open) == (settled, not settled)
    assert partition.traces[KEY].rewrite is rewrite


async def test_a_trace_without_a_row_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = await read_back(monkeypatch)
    assert (partition.traces[KEY].rewrite, KEY in partition.open) == (True, True)


async def test_an_event_that_breaks_the_decoder_is_not_counted_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(archived, "decode_record", broken)
    partition = await read_back(monkeypatch)
    assert partition.traces[KEY].event_count == 0
