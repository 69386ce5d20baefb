"""Whether a worker has room for what waits in the overflow: only where hardly anything else waits to be folded."""

from pipeline.events.model import Micros, Record
from pipeline.stream.batch import Batch
from pipeline.stream.load import (
    FIRST,
    LATELY,
    LEAST,
    LONGER,
    MOST,
    MOST_OWED,
    PATIENT,
    SHARE,
    SHORT,
    Allowance,
    Load,
    load_of,
)  # fmt: skip
from pipeline.stream.moves import Move
from pipeline.stream.offsets import TopicPartition
from pipeline.stream.partition import Limits, Partition


class Folding:
    """A pipeline with some partitions of eight, each with (next to take, next to read, end)."""

    def __init__(self, **places: tuple[int | None, int, int]) -> None:
        self.batch = Batch()
        self.flushes, self.flush_seconds, self.records = 7, 0.1, 9
        self.partitions: dict[TopicPartition, Partition] = {}
        self.ends: dict[TopicPartition, tuple[int, int]] = {}
        for name, (taken, position, end) in places.items():
            tp = TopicPartition("events", int(name[1:]))
            made = self.partitions[tp] = Partition(tp, Limits(2, 60, 1000, 100, 10_000, 100, 10_000))
            made.taken, made.count = taken, 8
            made.ready.set()
            self.ends[tp] = (position, end)

    def load(self, most: int = 100) -> Load:
        return load_of(self, self.ends.__getitem__, most)


def test_a_worker_that_has_folded_all_has_room() -> None:
    assert Folding(p1=(50, 50, 50), p3=(None, 0, 0)).load() == Load(frozenset({1, 3}), 8, SHORT, 7, 0.1, 9)


def test_what_was_read_and_is_not_folded_counts_and_so_does_what_was_not_read() -> None:
    assert Folding(p1=(50, 90, 150), p2=(None, 10, 30)).load().room == SHORT - 100 - 20


def test_a_backlog_leaves_no_room() -> None:
    assert Folding(p1=(50, 90, 150), p2=(0, 0, SHORT)).load().room == 0


def test_before_the_first_fetch_of_a_new_owner_nothing_is_known_of_the_log() -> None:
    assert Folding(p1=(50, 0, 0)).load().room == SHORT


def test_while_much_waits_for_the_store_there_is_no_room() -> None:
    folding = Folding(p1=(50, 50, 50))
    folding.batch.events = 99
    assert folding.load().room == SHORT
    folding.batch.moves.append(Move("events", 1, Record("events", 0, 0, Micros(0), b"k", b"v", ())))
    assert folding.load().room == 0


def test_a_partition_that_is_being_opened_comes_first() -> None:
    folding = Folding(p1=(50, 50, 50), p2=(None, 0, 0))
    folding.partitions[TopicPartition("events", 2)].ready.clear()
    assert folding.load() == Load(frozenset(), 0, 0, 7, 0.1, 9)


def test_a_partition_that_is_being_opened_is_no_quick_flush() -> None:
    folding, allowance = Folding(p1=(50, 50, 50)), Allowance()
    folding.flush_seconds = 0.5  # the store is far away
    for ready in (True, False, True):
        event = folding.partitions[TopicPartition("events", 1)].ready
        event.set() if ready else event.clear()
        left = allowance.left(folding.load())
    folding.flushes += 1
    assert allowance.left(folding.load()) >= left > 0


def test_without_partitions_there_is_nothing_to_look_after() -> None:
    assert Folding().load() == Load(frozenset(), 0, SHORT, 7, 0.1, 9)


def after(flushes: int, seconds: float = 0.0, room: int = 10**6) -> Load:
    return Load(frozenset({0}), 1, room, flushes, seconds)


def test_between_two_flushes_comes_an_allowance_and_no_more() -> None:
    allowance = Allowance()
    assert allowance.left(after(0, room=30)) == 30
    allowance.use(FIRST - 10)
    assert (allowance.left(after(0)), allowance.left(after(0, room=3))) == (10, 3)
    allowance.use(20)
    assert allowance.left(after(0)) == 0
    assert allowance.left(after(1)) == FIRST * 3 // 2


def test_flushes_as_quick_as_of_late_raise_it_and_slower_ones_halve_it_within_bounds() -> None:
    allowance = Allowance()
    far_away = 1.0  # a store that takes its time for anything
    sizes = [allowance.left(after(number, far_away)) for number in range(1, 40)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == MOST
    slow = far_away + LONGER + 0.01
    assert allowance.left(after(40, slow)) == MOST // 2
    assert allowance.left(after(40, slow)) == MOST // 2, "each flush counts once"
    sizes = [allowance.left(after(number, slow)) for number in range(41, 60)]
    assert (sizes[-1], min(sizes)) == (LEAST, LEAST)


def test_what_was_quick_long_ago_is_forgotten() -> None:
    allowance = Allowance()
    allowance.left(after(1, 0.01))
    sizes = [allowance.left(after(number, 1.0)) for number in range(2, LATELY + 20)]
    assert (min(sizes), sizes[-1]) == (LEAST, MOST)


def test_a_worker_that_always_has_too_much_to_do_lets_a_few_in_now_and_then() -> None:
    allowance = Allowance()
    let_in = 0
    for number in range(1, 10 * PATIENT + 1):
        some = allowance.left(after(number, room=0))
        if some:
            allowance.use(some)
            let_in += some
    assert let_in == 10 * LEAST


def test_what_waits_comes_before_a_flood_of_flushes_that_nothing_waited_for() -> None:
    allowance = Allowance()
    allowance.left(after(PATIENT, room=0))
    assert allowance.left(after(PATIENT, room=0)) == LEAST, "it stays until something was there to be let in"
    allowance.use(1)
    assert allowance.left(after(PATIENT, room=0)) == 0
    assert allowance.left(Load(frozenset(), 0, 0, 10 * PATIENT)) == LEAST, "without partitions nobody reads"


def busy(flushes: int, taken: int) -> Load:
    """A worker with more to do than it can, whose flushes are slow."""
    return Load(frozenset({0}), 1, 0, flushes, 3.0 if flushes > 1 else 0.1, taken)


def drained(rate: int, seconds: int, flush_every: float, waiting: int = 10**9) -> list[int]:
    """What a valve that looks 20 times a second lets in, look by look, on a worker that takes in `rate` a second."""
    allowance, let_in = Allowance(), list[int]()
    for look in range(1, 20 * seconds + 1):
        some = min(waiting, allowance.left(busy(int(look / 20 / flush_every), rate * look // 20)))
        if some:
            allowance.use(some)
        waiting -= some
        let_in.append(some)
    return let_in


def test_a_worker_that_is_always_busy_lets_its_share_in_at_any_rate_and_not_more() -> None:
    for rate, flush_every in ((400, 0.4), (5_000, 1.0), (18_400, 4.0), (60_000, 0.4)):
        let_in = drained(rate, 60, flush_every)
        owed = rate * 60 / SHARE
        patience = LEAST * (60 / flush_every / PATIENT)
        assert owed - LEAST <= sum(let_in) <= owed + patience, rate
        assert max(let_in) <= max(LEAST + rate // 20 // SHARE + 1, LEAST), "no burst that others would wait for"


def test_shares_that_nobody_took_do_not_pile_up() -> None:
    allowance = Allowance()
    assert allowance.left(busy(1, 10**7)) == MOST_OWED
    assert allowance.left(busy(1, 2 * 10**7)) == MOST_OWED
    allowance.use(MOST_OWED)
    assert allowance.left(busy(1, 2 * 10**7)) == 0


def test_what_came_while_there_was_room_counts_towards_the_share() -> None:
    allowance = Allowance()
    allowance.left(after(0))
    allowance.use(FIRST)
    assert allowance.left(busy(0, LEAST * SHARE)) == LEAST
    allowance.use(LEAST - 10)
    assert allowance.left(busy(0, LEAST * SHARE)) == 0, "a few more are not worth a trip"
