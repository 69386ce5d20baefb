"""A trace that was read back: is it settled, and are its stored rows what they would be now?"""

from array import array
from collections.abc import Sequence
from itertools import chain, repeat

import pytest

from pipeline.cost.price import ObservationPricer
from pipeline.events.canonical import to_canonical_json
from pipeline.events.keys import event_identity
from pipeline.events.media import Medium
from pipeline.events.model import Event, Fields, Kind
from pipeline.store import lookups
from pipeline.store.lookups import RawEvent, StoredRow, StoredTrace
from pipeline.store.rows import EPOCH_STEP
from pipeline.stream import archive as archive_module
from pipeline.stream import archived as archived_module
from pipeline.stream import persist
from pipeline.stream.archive import Archive
from pipeline.stream.partition import Partition
from pipeline.stream.persist import Cancelled
from tests.unit.collecting import AT, KEY, Worker

EVENT = Event("p", "t", Kind.TRACE, "t", "e", AT, Fields(name="n"))
EPOCH = ObservationPricer().epoch


def archived(event_id: str) -> RawEvent:
    value = to_canonical_json(EVENT._replace(event_id=event_id))
    return RawEvent(
        "p", "t", event_id, event_identity(event_id, value), "trace", "t", "application/json", value, "kafka", AT,
        "events", 0, 7, 0, AT, AT,
    )  # fmt: skip


async def read_back(
    monkeypatch: pytest.MonkeyPatch, *stored: StoredTrace, answers: Sequence[Sequence[RawEvent]] = ((archived("e"),),)
) -> Partition:
    """`answers`: what the archive has each time that it is asked; the last again and again."""
    asked = chain(answers, repeat(answers[-1]))
    monkeypatch.setattr(lookups, "read_back", lambda *_: iter(next(asked)))
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


async def test_what_was_archived_while_the_archive_was_read_has_not_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old owner of the partition writes two events and their row between our two questions."""
    monkeypatch.setattr(lookups, "stored_rows", lambda *_: pytest.fail("nothing has expired"))
    answers = [[archived("e")], [archived("e"), archived("f"), archived("g")]]
    partition = await read_back(monkeypatch, stored(events=3), answers=answers)
    state = partition.traces[KEY]
    assert (state.event_count, state.base_count, state.expired, state.rewrite) == (3, 0, False, False)
    assert partition.is_settled(KEY)


async def test_what_the_archive_does_not_have_when_asked_again_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "stored_rows", lambda *_: {("p", "t"): []})
    partition = await read_back(monkeypatch, stored(events=3))
    state = partition.traces[KEY]
    assert (state.event_count, state.base_count) == (3, 2)


async def test_stored_rows_that_our_own_code_fails_on_put_their_trace_aside_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = StoredRow("trace", "t", AT, {})  # a column is missing
    monkeypatch.setattr(lookups, "stored_rows", lambda *_: {("p", "t"): [row]})
    partition = await read_back(monkeypatch, stored(events=3))
    assert (list(partition.barred), list(partition.traces)) == ([KEY], [])


async def test_an_event_that_breaks_the_decoder_is_not_counted_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(archived_module, "decode_record", broken)
    partition = await read_back(monkeypatch)
    assert partition.traces[KEY].event_count == 0


async def test_media_in_what_is_read_back_are_kept_before_the_trace_is_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older version archived it with base64 inside; the store of media says no at first."""
    partition, kept = Worker().partition, list[tuple[str, bytes, bool]]()

    def keep(project_id: str, medium: Medium) -> None:
        kept.append((project_id, medium.content, KEY in partition.traces))
        if len(kept) == 1:
            raise OSError("SlowDown")

    raw = archived("e")
    value = to_canonical_json(EVENT._replace(fields=Fields(input="data:image/png;base64,iVBORw==")))
    raw = raw._replace(value=value, identity=event_identity("e", value))
    monkeypatch.setattr(lookups, "read_back", lambda *_: iter([raw]))
    monkeypatch.setattr(lookups, "stored_traces", lambda *_: {})
    monkeypatch.setattr(persist, "LONGEST_WAIT", 0.01)
    archive = Archive(None, ObservationPricer, lambda _: 1, 10**9, keep=keep)  # type: ignore[arg-type]
    await archive.read_back(partition, [("p", "t")])
    assert kept == [("p", b"\x89PNG", False)] * 2
    assert partition.traces[KEY].event_count == 1


async def test_a_broker_that_has_not_heard_of_the_growth_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told, asked = iter([2, 2, 4]), list[int]()

    async def partitions(_topic: str) -> int:
        return next(told)

    def known(_client: object, _topic: str, _number: int, count: int) -> "array[int]":
        asked.append(count)
        return array("Q")

    monkeypatch.setattr(archive_module, "BEHIND", 0.0)
    monkeypatch.setattr(lookups, "known_trace_hashes", known)
    monkeypatch.setattr(lookups, "open_traces", lambda *_: [])
    partition = Worker().partition
    partition.fewest = 4  # partition 3 is this worker's, too
    await Archive(None, ObservationPricer, partitions, 10**9).open(partition)  # type: ignore[arg-type]
    assert (partition.count, asked, partition.ready.is_set()) == (4, [4], True)


async def test_nobody_asks_for_a_partition_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Worker().partition
    partition.fewest = 4

    async def partitions(_topic: str) -> int:
        partition.revoked = True
        return 2

    with pytest.raises(Cancelled):
        await Archive(None, ObservationPricer, partitions, 10**9).open(partition)  # type: ignore[arg-type]
