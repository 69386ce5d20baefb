"""The transport between Kafka's client and the agent: whatever is dropped on the way is read again (I2)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream.offsets import TopicPartition
from pipeline.stream.transport import ChunkConsumer

TPS = [TP("events", 0), TP("events", 1)]
COMMITTED = {TPS[0]: 100, TPS[1]: None}  # of the other one nothing was ever committed
OLDEST = 7


class Scripted(ChunkConsumer):
    """The consumer on a client of its own: each fetch takes the next ten records, and moves on as Kafka's does."""

    def __init__(self, positions: dict[Any, int], gaps: Iterable[int] = ()) -> None:
        consumer = SimpleNamespace(committed=COMMITTED.get)
        self._thread: Any = SimpleNamespace(_ensure_consumer=lambda: consumer, call_thread=self._called)
        self.app: Any = SimpleNamespace(
            consumer_generation_id=1, monitor=SimpleNamespace(track_tp_end_offset=lambda *_: None)
        )
        self._init_chunks(SimpleNamespace(listener=None))  # type: ignore[arg-type]
        self._buffered_partitions: set[Any] = set()
        self.flow_active, self.active, self.stopping = True, set(TPS), False
        self.positions, self.gaps = positions, set(gaps)
        self.meanwhile: Callable[[], None] = lambda: None  # what happens while the records are on their way
        self.got: dict[Any, list[int]] = {tp: [] for tp in TPS}

    async def _called(self, what: Callable[..., Any], *args: Any) -> Any:
        return what(*args)

    @property
    def should_stop(self) -> bool:
        return self.stopping

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        records = {}
        for tp, position in self.positions.items():
            offsets = [offset for offset in range(position, position + 10) if offset not in self.gaps]
            records[tp] = [SimpleNamespace(offset=offset, timestamp=0) for offset in offsets]
            self.positions[tp] = position + 10
        self.meanwhile()
        return records, self.active

    async def earliest_offsets(self, *partitions: Any) -> dict[Any, int]:
        return dict.fromkeys(partitions, OLDEST)

    async def seek_wait(self, partitions: Any) -> None:
        self.positions.update(partitions)

    def highwater(self, _: Any) -> int:
        return 0

    async def fetch(self, most: int = 2) -> None:
        """One fetch, of which the caller takes so many chunks."""
        stream: AsyncIterator[Any] = self.getmany(1.0)
        async with aclosing(stream) as chunks:  # type: ignore[type-var]
            async for tp, message in chunks:
                self.got[tp] += [record.offset for record in message.value]
                most -= 1
                if not most:
                    return


def whole(consumer: Scripted) -> bool:
    """Nothing is missing and nothing is there twice."""
    starts = {TPS[0]: 100, TPS[1]: OLDEST}
    expected = {
        tp: [n for n in range(starts[tp], (got or [0])[-1] + 1) if n not in consumer.gaps]
        for tp, got in consumer.got.items()
    }
    return consumer.got == expected


def flow_stops(consumer: Scripted) -> None:
    consumer.flow_active = False


def generation_changes(consumer: Scripted) -> None:
    consumer.app.consumer_generation_id += 1


def partition_is_paused(consumer: Scripted) -> None:
    consumer.active.discard(TPS[0])


def call_is_cancelled(_: Scripted) -> None:
    raise TimeoutError


DROPS = (flow_stops, partition_is_paused, call_is_cancelled)


def calm(consumer: Scripted) -> None:
    consumer.flow_active, consumer.active, consumer.meanwhile = True, set(TPS), lambda: None


async def drop(consumer: Scripted, how: Callable[[Scripted], None]) -> None:
    consumer.meanwhile = lambda: how(consumer)
    try:
        await consumer.fetch()
    except TimeoutError:
        assert how is call_is_cancelled
    calm(consumer)


@pytest.mark.parametrize("how", DROPS)
@pytest.mark.parametrize("before", [0, 2])
async def test_a_fetch_that_was_dropped_is_read_again(how: Callable[[Scripted], None], before: int) -> None:
    consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST})
    for _ in range(before):
        await consumer.fetch()
    await drop(consumer, how)
    await drop(consumer, how)
    for _ in range(3):
        await consumer.fetch()
    assert whole(consumer)
    assert all(len(got) >= 20 + 10 * before for got in consumer.got.values())


@given(st.lists(st.tuples(st.sampled_from([None, *DROPS]), st.integers(1, 2)), max_size=20))
def test_whatever_is_dropped_and_when_nothing_is_skipped(happens: list[tuple[Any, int]]) -> None:
    async def run() -> Scripted:
        consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST}, gaps=[112, 113, 114, 120])
        for how, most in happens:
            if how is None:
                await consumer.fetch(most)
            else:
                await drop(consumer, how)
            assert whole(consumer)
        for _ in range(3):
            await consumer.fetch()
        return consumer

    consumer = asyncio.run(run())
    assert whole(consumer)
    assert all(consumer.got.values())


async def test_after_a_rebalance_reading_begins_at_what_was_committed() -> None:
    """Though the client is further already: Faust's seek came before a fetch that nobody took."""
    consumer = Scripted({TPS[0]: 130, TPS[1]: OLDEST + 20})
    for _ in range(3):
        await consumer.fetch()
    assert whole(consumer)
    assert all(consumer.got.values())


async def test_what_a_caller_did_not_take_is_read_again() -> None:
    consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST})
    await consumer.fetch(most=1)
    for _ in range(3):
        await consumer.fetch()
    assert whole(consumer)
    assert all(consumer.got.values())


async def test_a_partition_whose_buffer_is_full_is_delivered_all_the_same() -> None:
    consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST})
    consumer.active.discard(TPS[0])
    consumer._buffered_partitions.add(TPS[0])
    await consumer.fetch()
    assert consumer.got[TPS[0]] == list(range(100, 110))


async def test_a_gap_in_the_log_itself_is_passed() -> None:
    consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST}, gaps=range(100, 105))
    for _ in range(4):
        await consumer.fetch()
    assert consumer.got[TPS[0]][0] == 105
    assert whole(consumer)


async def test_a_revoked_partition_begins_anew() -> None:
    consumer = Scripted({TPS[0]: 100, TPS[1]: OLDEST})
    await consumer.fetch()
    consumer._positions.forget([TopicPartition(*tp) for tp in TPS])
    generation_changes(consumer)
    consumer.positions = {TPS[0]: 100, TPS[1]: OLDEST}
    consumer.got = {tp: [] for tp in TPS}
    await consumer.fetch()
    assert whole(consumer)
    assert all(consumer.got.values())
